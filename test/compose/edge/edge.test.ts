// An edge without its rules is not ready: Traefik starts without them, answers its own ping and 404
// for every host (traefik/traefik#11396).
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../until.ts'
import { fullProject } from '../project.ts'

const test = suite('edge')
const stack = fullProject('edge', 18150)
const rules = join(stack.docker, 'traefik/dynamic')
const file = join(rules, 'middlewares.yml')
const text = readFileSync(file, 'utf8')
const up = () => stack.run(['up', 'demo', 'traefik', 'kgc-web'])
const doctor = () => stack.run(['bootstrap', '--doctor', '--environment', 'demo']).stdout
const curl = (url: string, ...argv: string[]) =>
  spawnSync('curl', ['-sk', url, ...argv], { encoding: 'utf8' }).stdout
const host = 'https://app.kgc.localhost:18151'
const page = (path = '/') => curl(host + path, '-o', '/dev/null', '-w', '%{http_code}')

test('a folder that root without capabilities cannot read is refused before the start; doctor names it, too', () => {
  chownSync(rules, 1000, 1000)
  chmodSync(rules, 0o700)
  const { code, stderr } = up()
  assert.is(code, 3, stderr)
  assert.match(stderr, /traefik runs as root and cannot read infra\/docker\/traefik\/dynamic/)
  assert.match(stderr, /NEXT {2}chmod -R o\+rX infra\/docker\/traefik\/dynamic/)
  assert.is(stack.container('traefik'), '')
  assert.match(doctor(), /cannot read infra\/docker\/traefik\/dynamic/)
  chmodSync(rules, 0o755)
})

test('rules that cannot be read as such: not ready; mended, the same command heals it and the host answers', () => {
  writeFileSync(file, `${text}\n  : broken`)
  const { code, stderr } = up()
  assert.is(code, 6, stderr)
  assert.match(stderr, /traefik: unhealthy/)
  assert.match(stderr, /middlewares\.yml/)
  assert.is(page(), '404')
  writeFileSync(file, text)
  const healed = up()
  assert.is(healed.code, 0, healed.stderr)
  assert.is(page(), '200')
  assert.is(
    page('/api/v1/health'),
    '502',
    'its nginx starts without the API, and asks for it each time',
  )
})

test('traefik/traefik#4153: a page that is ill answers 503, and 200 when it is well again', async () => {
  const web = stack.container('kgc-web')
  const signal = (name: string) =>
    stack.engine(
      ...['exec', web, 'sh', '-c'],
      `for p in /proc/[0-9]*; do read -r name < $p/comm && [ "$name" = nginx ] && kill -${name} \${p#/proc/}; done; true`,
    )
  const health = () => stack.engine('inspect', '--format', '{{.State.Health.Status}}', web)
  // an empty address in Traefik's list would be an internal error of its own (traefik/traefik#13261)
  stack.engine('restart', '--time', '1', web)
  const seen = new Set<string>()
  await waitUntil('it is healthy', 60, () => !!seen.add(page()) && health() === 'healthy', 100)
  assert.not.ok(seen.has('500'), [...seen].join(', '))
  await waitUntil('200', 60, () => page() === '200')
  signal('STOP')
  await waitUntil('it is unhealthy', 90, () => health() === 'unhealthy')
  await waitUntil('503', 30, () => page() === '503')
  assert.match(curl(`${host}/login`), 'This application is restarting')
  signal('CONT')
  await waitUntil('200', 60, () => page() === '200')
})

test('a server that takes no connection costs nobody an answer while there is another (cloudnativelabs/kube-router#1309)', async () => {
  const two = 'https://two.kgc.localhost:18151'
  const router = (rule: string, middlewares: string[]) => ({
    ...{ entryPoints: ['websecure'], rule, middlewares, service: 'two', tls: {} },
  })
  const config = {
    routers: {
      two: router('Host(`two.kgc.localhost`)', ['headers', 'error-pages']),
      bare: router('Host(`bare.kgc.localhost`)', ['headers']),
    },
    services: {
      two: {
        loadBalancer: { servers: [{ url: 'http://kgc-web:80' }, { url: 'http://kgc-web:9' }] },
      },
    },
  }
  writeFileSync(join(rules, 'two.yml'), JSON.stringify({ http: config }))
  const ask = (url: string) => curl(url, '-o', '/dev/null', '-w', '%{http_code}')
  await waitUntil('the rule', 30, () => ask(two) !== '404')
  const answers = (url: string) => [...new Set(Array.from({ length: 10 }, () => ask(url)))].sort()
  assert.equal(answers(two), ['200'])
  assert.equal(answers('https://bare.kgc.localhost:18151'), ['200', '502'])
  rmSync(join(rules, 'two.yml'))
})

test('while its container is replaced, and at a name that nobody has: 404, the page, whatever the method', async () => {
  stack.engine('rm', '--force', stack.container('kgc-web'))
  await waitUntil('404', 60, () => page() === '404')
  for (const url of [host, 'https://nobody.kgc.localhost:18151'])
    for (const method of ['GET', 'POST']) {
      const answer = curl(`${url}/x`, '-X', method, '-w', '%{http_code}')
      assert.match(answer, 'No application can be reached at this address')
      assert.match(answer, /404$/, `${method} ${url}`)
    }
})

test('without an inotify instance left the health check fails, and the log says why', () => {
  // a limit of its own, in a namespace of its own: the machine's other processes keep theirs
  const inside = `echo 0 > /proc/sys/user/max_inotify_instances; traefik & sleep 0.5; for i in $(seq 40); do traefik healthcheck; [ $? = 1 ] && break; sleep 0.1; done; traefik healthcheck; echo ended $?`
  const unconfined = ['seccomp', 'apparmor', 'systempaths'].flatMap(name => [
    '--security-opt',
    `${name}=unconfined`,
  ])
  const settings = Object.entries(
    JSON.parse(
      stack.engine('inspect', '--format', '{{json .Config.Env}}', stack.container('traefik')),
    ) as string[],
  ).flatMap(([, pair]) => ['--env', pair])
  const argv = [
    'run',
    '--rm',
    ...unconfined,
    '--network',
    'none',
    ...settings,
    '--env',
    'TRAEFIK_PROVIDERS_DOCKER=false',
    '-v',
    `${rules}:/etc/traefik/dynamic:ro`,
  ]
  const done = spawnSync(
    'docker',
    [
      ...argv,
      '--entrypoint',
      'unshare',
      'kgc-demo/traefik:demo',
      '--user',
      '--map-root-user',
      'sh',
      '-c',
      inside,
    ],
    { encoding: 'utf8', timeout: 60_000 },
  )
  assert.match(done.stdout, /ended 1/, done.stdout + done.stderr)
  assert.match(done.stdout + done.stderr, /creating file watcher: too many open files/)
  assert.match(done.stdout + done.stderr, /Bad healthcheck status: 404/)
})

test.run()
