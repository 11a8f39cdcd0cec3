// Takes every request and writes its path and its body as a line of JSON.
import { createServer } from 'node:http'

createServer(async (request, response) => {
  let body = ''
  for await (const part of request) body += part
  console.log(JSON.stringify({ path: request.url, body: JSON.parse(body) }))
  response.end('ok')
}).listen(8000)
process.on('SIGTERM', () => process.exit(0))
