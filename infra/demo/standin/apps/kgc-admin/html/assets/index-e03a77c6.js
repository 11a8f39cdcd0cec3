document.getElementById('api').textContent = `Served by ${location.host}`
