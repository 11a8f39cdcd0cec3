// VITE_API_URL is baked in as a relative address: one image for every environment.
fetch('/api/v1/ready')
  .then(response => response.json())
  .then(({ status }) => (document.getElementById('api').textContent = `API: ${status}`))
  .catch(error => (document.getElementById('api').textContent = `API: ${error.message}`))
