// Plays `kubectl proxy` for a fake kubectl: each request becomes the words of the command that would
// ask the same, and what that prints becomes the answer. It ends with the file of that kubectl.
// Usage: fake-proxy.mjs KUBECTL [WORD …] proxy --unix-socket FILE …
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'

const [kubectl, ...argv] = process.argv.slice(2)
const common = argv.slice(0, argv.indexOf('proxy'))
const kinds = {
  configmaps: 'ConfigMap',
  controllerrevisions: 'ControllerRevision',
  daemonsets: 'DaemonSet',
  deployments: 'Deployment',
  events: 'Event',
  ingresses: 'Ingress',
  jobs: 'Job',
  leases: 'Lease',
  networkpolicies: 'NetworkPolicy',
  persistentvolumeclaims: 'PersistentVolumeClaim',
  pods: 'Pod',
  replicasets: 'ReplicaSet',
  sealedsecrets: 'SealedSecret',
  secrets: 'Secret',
  statefulsets: 'StatefulSet',
}
const codes = { AlreadyExists: 409, Conflict: 409, Forbidden: 403, Invalid: 422, NotFound: 404 }

/** The words of the command that asks the same. */
function wordsOf(method, { pathname, searchParams }) {
  const [, resource, name, part] =
    /\/namespaces\/[^/]+\/(\w+)(?:\/([^/]+))?(?:\/(\w+))?$/.exec(pathname) ?? []
  const about = [resource ?? pathname, ...(name ? [name] : [])]
  const trial = searchParams.has('dryRun') ? ['--dry-run=server'] : []
  if (part === 'log') {
    const flags = { container: '--container', tailLines: '--tail', sinceSeconds: '--since' }
    const more = Object.keys(flags).filter(key => searchParams.has(key))
    const previous = searchParams.get('previous') === 'true' ? ['--previous'] : []
    return ['logs', name, ...more.flatMap(key => [flags[key], searchParams.get(key)]), ...previous]
  }
  if (searchParams.has('watch')) return ['get', resource, '--watch-only']
  const verbs = { POST: 'create', PUT: 'replace', PATCH: 'apply', DELETE: 'delete' }
  return method === 'GET'
    ? ['get', ...about, '--output', 'json']
    : [verbs[method], ...about, ...trial]
}

/** Status and text of an answer, of what the command has printed. */
function answerOf(code, stdout, stderr, { pathname, body }) {
  if (code !== 0) {
    if (/Unauthorized/.test(stderr)) return [401, stderr]
    const [, reason, message] = /\((\w+)\): (.*)/s.exec(stderr) ?? []
    const status = { kind: 'Status', reason, message: message?.trim() }
    return codes[reason] ? [codes[reason], JSON.stringify(status)] : [500, stderr]
  }
  const [, resource, name] = /\/namespaces\/[^/]+\/(\w+)(?:\/([^/]+))?/.exec(pathname) ?? []
  const kind = kinds[resource]
  if (body || !kind || pathname.endsWith('/log')) return [200, stdout || body || '{}']
  if (!stdout.trim())
    return name
      ? [404, '{"reason":"NotFound"}']
      : [200, JSON.stringify({ kind: `${kind}List`, items: [] })]
  const said = stdout.startsWith('{') ? JSON.parse(stdout) : undefined
  if (!said?.items) return [200, stdout]
  const items = said.items.filter(one => !one.kind || one.kind === kind)
  if (!name) return [200, JSON.stringify({ kind: `${kind}List`, apiVersion: 'x', items })]
  const found = items.find(one => !one.metadata || one.metadata.name === name)
  return found ? [200, JSON.stringify(found)] : [404, '{"reason":"NotFound"}']
}

function ask(words, input, onOutput = () => {}) {
  const child = spawn(kubectl, [...common, ...words])
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'])
    child[stream].setEncoding('utf8').on('data', text => {
      said[stream] += text
      onOutput(text)
    })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return { child, ended: new Promise(done => child.on('close', code => done({ code, ...said }))) }
}

let queue = Promise.resolve()
const server = createServer(async (request, answer) => {
  let body = ''
  for await (const part of request) body += part
  const url = new URL(request.url, 'http://localhost')
  const words = wordsOf(request.method, url)
  if (words.includes('--watch-only')) {
    const { child, ended } = ask(words, '', text => answer.write(text))
    answer.on('close', () => child.kill())
    return void ended.then(() => answer.end())
  }
  // one after the other, so that the script can count
  queue = queue.then(async () => {
    if (answer.destroyed) return
    const { child, ended } = ask(words, body)
    answer.on('close', () => child.kill())
    const { code, stdout, stderr } = await ended
    const [status, text] = answerOf(code ?? 1, stdout, stderr, { pathname: url.pathname, body })
    answer.writeHead(status).end(text)
  })
})

/** Plays `exec`: what comes for its standard input is all that there is when that is closed. */
function serveExec(socket, { pathname, searchParams }) {
  const [, pod] = /\/pods\/([^/]+)\/exec$/.exec(pathname)
  const hasInput = searchParams.has('stdin')
  const argv = searchParams.getAll('command')
  const words = ['exec', ...(hasInput ? ['--stdin'] : []), pod]
  const send = (channel, text) => socket.send(Buffer.from([channel, ...Buffer.from(text)]))
  let input = ''
  const run = async () => {
    const container = searchParams.get('container')
    const { ended } = ask([...words, '--container', container, '--', ...argv], input)
    const { code, stdout, stderr } = await ended
    if (stdout) send(1, stdout)
    if (stderr) send(2, stderr)
    const causes = [{ reason: 'ExitCode', message: String(code) }]
    send(
      3,
      JSON.stringify(code ? { status: 'Failure', details: { causes } } : { status: 'Success' }),
    )
    socket.close()
  }
  socket.on('message', data => (data[0] === 255 ? run() : (input += data.subarray(1))))
  if (!hasInput) void run()
}

if (!process.env.FAKE_NO_UPGRADE)
  server.on('upgrade', async (request, socket, head) => {
    // few tests need it
    const { WebSocketServer } = await import('ws')
    new WebSocketServer({ noServer: true }).handleUpgrade(request, socket, head, one =>
      serveExec(one, new URL(request.url, 'http://localhost')),
    )
  })
server.listen(argv[argv.indexOf('--unix-socket') + 1], () => console.log('Starting to serve'))
setInterval(() => existsSync(kubectl) || process.exit(), 200)
