// the address of the API is written down here, as in the real one
fetch('/api/v1/ready')
  .then(response => response.json())
  .then(({ status }) => (document.getElementById('api').textContent = `API: ${status}`))
  .catch(error => (document.getElementById('api').textContent = `API: ${error.message}`))
