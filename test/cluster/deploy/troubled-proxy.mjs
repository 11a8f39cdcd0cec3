// Stands before the real `kubectl proxy`: a request that CHECK lets pass is passed on, for another
// what that says is the answer. Usage: troubled-proxy.mjs CHECK KUBECTL [WORD …] --unix-socket FILE …
import { spawn, spawnSync } from 'node:child_process'
import { createServer, request as ask } from 'node:http'

const [check, kubectl, ...argv] = process.argv.slice(2)
const place = argv.indexOf('--unix-socket') + 1
const real = `${argv[place]}-real`

const server = createServer((from, to) => {
  const { method, url: path, headers } = from
  const { status, stderr } = spawnSync(check, [`${method} ${path}`], { encoding: 'utf8' })
  if (status) {
    const message = stderr.trim().replace(/^Error from server \(Forbidden\): /, '')
    const code = /Unauthorized/.test(stderr) ? 401 : 403
    return void to.writeHead(code).end(JSON.stringify({ reason: 'Forbidden', message }))
  }
  const there = ask({ socketPath: real, method, path, headers }, answer => {
    to.writeHead(answer.statusCode, answer.headers)
    answer.pipe(to)
  })
  to.on('close', () => there.destroy())
  there.on('error', () => to.destroy())
  from.pipe(there)
})
const child = spawn(kubectl, argv.with(place, real), { stdio: ['ignore', 'pipe', 'inherit'] })
process.on('exit', () => child.kill())
process.on('SIGTERM', () => process.exit())
child.on('exit', code => process.exit(code ?? 1))
child.stdout.once('data', () => server.listen(argv[place], () => console.log('Starting to serve')))
