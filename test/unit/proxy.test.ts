// What leaves the process goes through the proxy that the variables name, and past it where they say.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readClock } from '../../scripts/lib/doctor/clock.ts'
import { requestGitHub } from '../../scripts/lib/github/client.ts'
import { fetchWeb, findProxyAddress } from '../../scripts/lib/http.ts'
import { callRegistry, isRegistryReachable } from '../../scripts/lib/images/registry/client.ts'
import { notifyWebhooks, webhookServices } from '../../scripts/lib/notify/notify.ts'
import { redact } from '../../scripts/lib/redact.ts'
import { edgeAt } from '../../scripts/lib/smoke/edge.ts'
import { readTypeScript } from '../node.ts'
import { repository } from '../sandbox.ts'

const test = suite('proxy')
const names = ['http_proxy', 'https_proxy', 'no_proxy'].flatMap(name => [name, name.toUpperCase()])
for (const name of names) delete process.env[name]

/** A proxy that says what it was asked for, and refuses it or leads it to a port of this machine. */
async function withProxy<T>(
  work: () => Promise<T>,
  { env = {}, port }: { env?: Record<string, string>; port?: number } = {},
): Promise<{ value: T; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.end('{}')
  })
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`)
    if (!port) return void socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    for (const one of [onward, socket]) one.on('error', () => onward.destroy())
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  Object.assign(process.env, { HTTPS_PROXY: address, HTTP_PROXY: address, ...env })
  try {
    return { value: await work(), asked }
  } finally {
    for (const name of names) delete process.env[name]
    server.closeAllConnections()
    server.close()
  }
}

const hook = (address: string) => [{ ...webhookServices[0]!, address }]
const event = { kind: 'started', environment: 'none' } as const
const github = { owner: 'o', repo: 'r', token: 'x'.repeat(20), api: 'https://api.kgc.invalid' }

/** All that asks somebody who is not on this machine, and what it asks the proxy for. */
const clients: [string, string, () => Promise<unknown>][] = [
  [
    'the registry',
    'CONNECT registry.kgc.invalid:443',
    () => callRegistry('registry.kgc.invalid', 'a/manifests/1').catch(() => {}),
  ],
  [
    'whether a registry answers',
    'CONNECT registry.kgc.invalid:443',
    () => isRegistryReachable('registry.kgc.invalid'),
  ],
  [
    'GitHub',
    'CONNECT api.kgc.invalid:443',
    () =>
      requestGitHub(github, Date.now() + 2_000, ({ rest }) =>
        rest.repos.get({ owner: 'o', repo: 'r' }),
      ).catch(() => {}),
  ],
  [
    'Slack',
    'CONNECT hooks.kgc.invalid:443',
    () => notifyWebhooks(event, { hooks: hook('https://hooks.kgc.invalid/T/B/x'), limit: 2_000 }),
  ],
  [
    'a webhook by HTTP',
    'POST http://hooks.kgc.invalid/T/B/x',
    () => notifyWebhooks(event, { hooks: hook('http://hooks.kgc.invalid/T/B/x'), limit: 2_000 }),
  ],
  ['the clock', 'CONNECT clock.kgc.invalid:443', () => readClock(undefined, ['clock.kgc.invalid'])],
  [
    'the smoke test where DNS leads',
    'CONNECT app.kgc.invalid:443',
    () =>
      edgeAt({}, true)
        .get('https://app.kgc.invalid/')
        .catch(() => {}),
  ],
]

test('peter-evans/slash-command-dispatch#457, octokit/rest.js#43: whatever leaves the process goes through the proxy', async () => {
  for (const [who, wanted, ask] of clients) {
    const { asked } = await withProxy(ask)
    assert.ok(asked.length > 0 && asked.every(one => one === wanted), `${who}: ${asked.join()}`)
  }
})

test('peter-evans/slash-command-dispatch#457: no script asks past the one place that knows the proxy', () => {
  const lib = join(repository, 'scripts')
  const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter(
    name =>
      name.endsWith('.ts') &&
      !['lib/http.ts', 'lib/smoke/edge.ts', 'lib/doctor/clock.ts'].includes(name),
  )
  const own = /(?<![\w.'-])fetch\((?!'origin'|isAbsent)|import fetch from|from 'node:https'/
  assert.ok(files.length > 100)
  assert.equal(
    files.filter(name => own.test(readFileSync(join(lib, name), 'utf8'))),
    [],
  )
})

test('octokit/rest.js#43: with NO_PROXY for the host nothing reaches the proxy', async () => {
  for (const [who, , ask] of clients) {
    const { asked } = await withProxy(ask, { env: { NO_PROXY: 'kgc.invalid' } })
    assert.equal(asked, [], who)
  }
})

test('an edge whose address is said is asked there, not through the proxy', async () => {
  const { asked } = await withProxy(() =>
    edgeAt({ https: '127.0.0.1:1' }, true)
      .get('https://app.kgc.invalid/')
      .catch(() => {}),
  )
  assert.equal(asked, [])
})

test('names, ports, ranges and this machine: as kubectl and docker read NO_PROXY', () => {
  const all = { HTTPS_PROXY: 'p.hu:3128', HTTP_PROXY: 'http://h.hu:1' }
  const goes = (url: string, no_proxy = '', env: object = all) =>
    findProxyAddress(new URL(url), { ...env, no_proxy })
  assert.is(goes('https://ghcr.io/v2/'), 'http://p.hu:3128')
  assert.is(goes('http://ghcr.io/'), 'http://h.hu:1')
  assert.is(goes('https://ghcr.io/', '', { https_proxy: 'http://low.hu' }), 'http://low.hu')
  assert.is(goes('https://ghcr.io/', '', { HTTP_PROXY: 'http://h.hu:1' }), undefined)
  for (const url of ['http://localhost:5001/', 'https://127.1.2.3/', 'https://[::1]/'])
    assert.is(goes(url), undefined, url)
  const past: [string, string, boolean][] = [
    ['https://kgc.hu/', 'kgc.hu', true],
    ['https://app.kgc.hu/', 'a.hu, kgc.hu', true],
    ['https://notkgc.hu/', 'kgc.hu', false],
    ['https://app.KGC.hu/', '.kgc.hu', true],
    ['https://kgc.hu/', '.kgc.hu', false],
    ['https://app.kgc.hu/', '*.kgc.hu', true],
    ['https://kgc.hu/', 'kgc.hu:443', true],
    ['https://kgc.hu:8443/', 'kgc.hu:443', false],
    ['https://10.1.2.3/', '10.0.0.0/8', true],
    ['https://11.1.2.3/', '10.0.0.0/8', false],
    ['https://10.1.2.3/', '10.1.2.3', true],
    ['https://[fd00::1]/', 'fd00::/8', true],
    ['https://[fd00::1]:8443/', '[fd00::1]:8443', true],
    ['https://ghcr.io/', '*', true],
    ['https://10.1.2.3/', 'nonsense/99, /8, 10.0.0.0/99', false],
  ]
  for (const [url, list, isPast] of past)
    assert.is(goes(url, list) === undefined, isPast, `${url} with ${list}`)
  goes('https://ghcr.io/', '', { HTTPS_PROXY: 'http://me:canary%2Fpass@p.hu:3128' })
  assert.is(redact('a canary/pass b'), 'a [secret] b')
})

test('a certificate of an authority of their own is trusted when it is named; else that is said', async () => {
  const box = mkdtempSync(join(tmpdir(), 'kgc-ca-'))
  const [key, cert] = [join(box, 'key'), join(box, 'cert')]
  const about = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=r.kgc.invalid -addext'.split(
    ' ',
  )
  const name = 'subjectAltName=DNS:r.kgc.invalid'
  execFileSync('openssl', [...about, name, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const options = { key: readFileSync(key), cert: readFileSync(cert) }
  const server = createSecureServer(options, (_, response) => response.end('hello'))
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  const url = 'https://r.kgc.invalid/v2/'
  try {
    const { value } = await withProxy(
      () => callRegistry('r.kgc.invalid', '').catch((error: Error) => error.message),
      { port },
    )
    assert.match(
      String(value),
      'cannot be reached (DEPTH_ZERO_SELF_SIGNED_CERT: export NODE_EXTRA_CA_CERTS=FILE',
    )
    const body = `import { fetchWeb } from '${repository}/scripts/lib/http.ts'
      console.log(await (await fetchWeb('${url}')).text())`
    const { value: told } = await withProxy(
      async () => {
        const child = spawn(
          process.execPath,
          [...readTypeScript, '--input-type=module', '--eval', body],
          { cwd: repository, env: { ...process.env, NODE_EXTRA_CA_CERTS: cert } },
        )
        let text = ''
        for await (const part of child.stdout) text += part
        return text.trim()
      },
      { port },
    )
    assert.is(told, 'hello')
  } finally {
    server.closeAllConnections()
    server.close()
    rmSync(box, { recursive: true })
  }
})

test('a request whose time is over before it is sent fails, and the process goes on', async () => {
  const signal = AbortSignal.abort()
  const asked = fetchWeb('http://127.0.0.1:9', { method: 'POST', body: 'x', signal })
  const error = await asked.then(
    () => undefined,
    error => error as Error,
  )
  assert.is(error?.name, 'AbortError')
  // what a stream that nobody listens to says would come now
  await new Promise(setImmediate)
})

test.run()
