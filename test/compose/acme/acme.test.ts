// A real ACME authority gives the production stack its certificates, by HTTP-01 through Traefik;
// also that of a host whose door is closed.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { get as getPlain } from 'node:http'
import { get as getSecure, type RequestOptions } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket, PeerCertificate } from 'node:tls'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository, sandbox } from '../../sandbox.ts'
import { compiled } from '../../tools.ts'
import { removeAll } from '../project.ts'

const test = suite('acme')
const pebble = compiled('pebble')
const host = 'app.kgc.test'
const closed = 'crm.kgc.test'
// below those that the system gives to connections, one of which may take a free one first
const [http, https, management] = [18180, 18181, 18182] as const

const project = 'kgc-test-acme'
removeAll(project)
process.once('exit', () => removeAll(project))

const box = sandbox()
const keys = join(box.root, 'pebble')
const env = {
  KGC_PROJECT: project,
  PEBBLE: pebble,
  PEBBLE_KEYS: keys,
  PEBBLE_PORT: String(management),
  ACME_CASE: import.meta.dirname,
  // its images are not what is tried
  MONITORING: '0',
}
const up = [
  'up',
  'prod',
  '--timeout',
  '180',
  '--file',
  join(import.meta.dirname, 'docker-compose.acme.yml'),
  'traefik',
  'kgc-web',
  'twenty-server',
]

provide()
assert.is(box.script(['env']).code, 0)
// the folders' files follow the root file
set({
  DOMAIN: 'kgc.test',
  HTTP_PORT: `${http}`,
  HTTPS_PORT: `${https}`,
  URL_PORT: `:${https}`,
  ACME_EMAIL: 'ops@kgc.test',
  ACME_CA_SERVER: 'https://pebble:14000/dir',
})
assert.is(box.script(['env']).code, 0)
start()

test('the certificates of the hosts come from the authority, that of a closed one, too, which nobody is served', async () => {
  const root = (
    await answer(management, {
      host: 'localhost',
      path: '/roots/0',
      ca: readFileSync(join(keys, 'cert.pem')),
    })
  ).body
  for (const [name, wanted] of [
    [host, 200],
    [closed, 404],
  ] as const) {
    const { certificate, status, body } = await issued(name, root)
    assert.is(certificate.subjectaltname, `DNS:${name}`)
    assert.match(String(certificate.issuer.CN), /^Pebble Intermediate/)
    assert.is(status, wanted, name)
    if (name === closed) assert.match(body, 'No application can be reached at this address')
  }
})

test('HTTP leads to HTTPS, path and query kept', async () => {
  const { status, headers } = await plain('/login?next=%2Forders')
  assert.ok([301, 308].includes(status), String(status))
  assert.is(headers.location, `https://${host}:${https}/login?next=%2Forders`)
})

test('a host that is not ours gets no application and no certificate', async () => {
  const { status, certificate } = await answer(https, {
    host: 'elsewhere.test',
    rejectUnauthorized: false,
  })
  assert.is(status, 404)
  assert.is(certificate.subject.CN, 'TRAEFIK DEFAULT CERT')
})

test('a new Traefik serves the same certificate from its volume and orders none', async () => {
  const before = store()
  const { serialNumber } = (await answer(https, { host, rejectUnauthorized: false })).certificate
  docker('rm', '--force', container('traefik'))
  start()
  for (const name of [host, closed]) await issued(name)
  assert.is(
    (await answer(https, { host, rejectUnauthorized: false })).certificate.serialNumber,
    serialNumber,
  )
  assert.is(store(), before)
  assert.is(orders(), 2)
})

function start() {
  const { code, stderr } = box.script(up, { env })
  assert.is(code, 0, stderr)
}

/** The answer once a host's own certificate is served; `ca` must vouch for it when given. */
async function issued(host: string, ca?: string): Promise<Answer> {
  for (const end = Date.now() + 60_000; ; await new Promise(done => setTimeout(done, 300))) {
    const seen = await answer(https, { host, path: '/', rejectUnauthorized: false })
    if (seen.certificate.subjectaltname?.includes(host))
      return ca ? answer(https, { host, path: '/', ca }) : seen
    if (Date.now() > end)
      throw new Error(
        `no certificate in 60 s\n${docker('logs', '--tail', '20', container('traefik'))}`,
      )
  }
}

function docker(...argv: string[]): string {
  return execFileSync('docker', argv, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()
}

const container = (service: string): string =>
  docker(
    'ps',
    '-aq',
    '--filter',
    `label=com.docker.compose.project=${project}`,
    '--filter',
    `label=com.docker.compose.service=${service}`,
  )
const store = (): string =>
  docker(
    'exec',
    container('traefik'),
    'sh',
    '-c',
    'stat -c %a /acme/acme.json; cat /acme/acme.json',
  )
const orders = (): number =>
  docker('logs', container('pebble'))
    .split('\n')
    .filter(line => line.includes('Added order')).length

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
  certificate: PeerCertificate
}

/** GET over TLS: the connection goes to this machine, the name to SNI and Host. */
const answer = (port: number, options: RequestOptions & { host: string }): Promise<Answer> =>
  read(done =>
    getSecure(
      {
        agent: false,
        timeout: 10_000,
        ...options,
        headers: { Host: `${options.host}:${port}` },
        servername: options.host,
        host: '127.0.0.1',
        port,
      },
      done,
    ),
  )

const plain = (path: string): Promise<Answer> =>
  read(done =>
    getPlain(
      {
        agent: false,
        timeout: 10_000,
        host: '127.0.0.1',
        port: http,
        path,
        headers: { Host: `${host}:${http}` },
      },
      done,
    ),
  )

function read(
  ask: (
    done: (response: import('node:http').IncomingMessage) => void,
  ) => import('node:http').ClientRequest,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = ask(response => {
      const certificate = (response.socket as TLSSocket).getPeerCertificate?.()
      let body = ''
      response.on('data', data => (body += data))
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body, certificate }),
      )
    })
    call.on('timeout', () => call.destroy(new Error('no answer in 10 s')))
    call.on('error', reject)
  })
}

function set(values: Record<string, string>) {
  const file = join(box.docker, '.env')
  const text = Object.entries(values).reduce(
    (all, [key, value]) => all.replace(new RegExp(`^${key}=.*$`, 'm'), `${key}=${value}`),
    readFileSync(file, 'utf8'),
  )
  writeFileSync(file, text)
}

/** Pebble, compiled once, and the certificate of its own API. */
function provide() {
  execFileSync('test/cluster/engine/build.sh', ['pebble'], { cwd: repository, stdio: 'inherit' })
  mkdirSync(keys)
  const request =
    '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=pebble -addext subjectAltName=DNS:pebble,DNS:localhost'
  const openssl = [
    'run',
    '--rm',
    '--volume',
    `${keys}:/keys`,
    '--workdir',
    '/keys',
    '--entrypoint',
    // its PATH has only what the official image has
    '/usr/bin/openssl',
    'kgc-demo/postgres:17',
  ]
  docker(...openssl, 'req', ...request.split(' '), '-keyout', 'key.pem', '-out', 'cert.pem')
}

test.run()
