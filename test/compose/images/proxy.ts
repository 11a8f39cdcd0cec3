// Stands before a registry and refuses as GitHub's does: writes of a read-only login, and too many
// requests. What it is to refuse stands in a file, so that a test can change it. Usage: proxy.ts
// PORT REGISTRY FOLDER
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:https'
import { join } from 'node:path'

const [port, registry, folder] = process.argv.slice(2) as [string, string, string]
const [hostname, behind] = registry.split(':')
const [cert, key] = ['tls.crt', 'tls.key'].map(name => readFileSync(join(folder, name)))
const rules = join(folder, 'proxy.json')

const server = createServer({ cert, key }, (asked, answer) => {
  const { busy = 0, space = true } = (
    existsSync(rules) ? JSON.parse(readFileSync(rules, 'utf8')) : {}
  ) as { busy?: number; space?: boolean }
  const user = Buffer.from((asked.headers.authorization ?? '').replace('Basic ', ''), 'base64')
    .toString()
    .split(':')[0]
  const writes = !['GET', 'HEAD'].includes(asked.method!)
  const no = (status: number, code: string, message: string, headers = {}) => {
    asked.resume()
    answer
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify({ errors: [{ code, message }] }))
  }
  if (user && busy > 0) {
    writeFileSync(rules, JSON.stringify({ busy: busy - 1 }))
    return no(429, 'TOOMANYREQUESTS', 'retry later', { 'retry-after': '2' })
  }
  if (writes && user === 'reader')
    return no(
      403,
      'DENIED',
      'permission_denied: The token provided does not match expected scopes.',
    )
  if (asked.method === 'PUT' && asked.url!.includes('/manifests/') && !space)
    return no(507, 'UNKNOWN', 'insufficient storage')
  const onward = request(
    {
      hostname,
      port: behind,
      path: asked.url,
      method: asked.method,
      headers: asked.headers,
      ca: cert,
    },
    found => {
      answer.writeHead(found.statusCode!, found.headers)
      found.pipe(answer)
    },
  )
  onward.on('error', () => answer.destroy())
  asked.pipe(onward)
})
server.listen(Number(port), hostname, () => console.log('ready'))
