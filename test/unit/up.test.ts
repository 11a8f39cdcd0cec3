// What `up` refuses, builds, pulls and prints, on an engine that only plays.
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lowerCpuLimits } from '../../scripts/lib/compose/cpus.ts'
import { adviseOnPull, hasProxyOrMirror } from '../../scripts/lib/images/missing.ts'
import { fakes, type Reply } from '../fakes.ts'
import { commit, initialize } from '../git.ts'
import type { CommandOutput } from '../one-process.ts'
import { readTypeScript } from '../node.ts'
import { sandbox } from '../sandbox.ts'
import { onTerminal } from '../terminal.ts'

const test = suite('up')
const box = sandbox()
const engine = fakes(['docker'])
const source = mkdtempSync(join(tmpdir(), 'kgc-source-'))
process.once('exit', () => rmSync(source, { recursive: true }))

writeFileSync(join(source, 'Dockerfile'), 'FROM scratch\n')
initialize(source)
const ref = commit(source)

for (const entry of readdirSync(box.docker)) rmSync(join(box.docker, entry), { recursive: true })
mkdirSync(join(box.docker, 'shop'))
const example = join(box.docker, 'shop/.env.example')
const image = `127.0.0.1:9/o/shop:${ref}`
const build = { context: '${SHOP_SOURCE}' }
const built = { services: { shop: { image: '127.0.0.1:9/o/shop:${SHOP_REF:-unset}', build } } }
const files = { '': {}, '.dev': {}, '.demo': {}, '.build': built }
for (const [name, content] of Object.entries(files))
  writeFileSync(join(box.docker, `docker-compose${name}.yml`), JSON.stringify(content))
writeFileSync(join(box.docker, 'shop/docker-compose.yml'), '{}')
writeFileSync(join(box.root, '.env.example'), '# nothing\n')
writeFileSync(
  example,
  `#@ pinned format=hex\nSHOP_REF=${ref}\n#@ pinned format=owner\nSHOP_OWNER=\nSHOP_SOURCE=${source}\n#@ secret generate=hex:24\nSHOP_PASSWORD=\n`,
)
for (const environment of ['', 'demo'])
  assert.is(box.script(['env', environment].filter(Boolean)).code, 0)

const config = { name: 'kgc', services: { shop: { image } } }
const targets = {
  services: { shop: { image, build: { context: source, dockerfile: 'Dockerfile' } } },
}
const answers: Reply[] = [
  { call: /^docker version/ },
  { call: /^docker info/, stdout: '{}' },
  { call: /^docker (network|volume) ls/ },
  {
    call: /^docker compose --file docker-compose\.build\.yml config/,
    stdout: JSON.stringify(targets),
  },
  { call: /^docker compose .* config --format json$/, stdout: JSON.stringify(config) },
  { call: /^docker ps/ },
  { call: /^docker image inspect/, code: 1 },
  { call: /^docker buildx bake/, code: 1, stdout: 'the builder has been asked' },
  { call: /^docker compose .* pull/, code: 1 },
]

/** As which it runs; the first of the answers that fits counts. */
function prepare(replies: Reply[], env: Record<string, string> = {}): Record<string, string> {
  engine.answer([...replies, ...answers])
  const proxies = { HTTP_PROXY: '', HTTPS_PROXY: '', http_proxy: '', https_proxy: '' }
  return {
    XDG_CACHE_HOME: box.root,
    ...proxies,
    ...engine.env,
    PATH: `${engine.bin}:${process.env.PATH}`,
    ...env,
  }
}
const heard = <T extends CommandOutput>(said: T) => ({
  ...said,
  calls: engine.calls().map(({ words }) => words.join(' ')),
})

/** Runs it. Out: what it said, and what it asked of the engine. */
const up = async (argv: string[] = [], replies: Reply[] = [], env: Record<string, string> = {}) =>
  heard(await box.inProcess(['up', ...argv], prepare(replies, env)))
/** The same as a program. */
const upAlone = (replies: Reply[] = []) => heard(box.script(['up'], { env: prepare(replies) }))
const asked = (calls: string[], what: RegExp) => calls.some(call => what.test(call))

test("a test's script says the same in a workflow", async () => {
  const before = process.env.GITHUB_ACTIONS
  process.env.GITHUB_ACTIONS = 'true'
  const { stderr } = upAlone()
  if (before === undefined) delete process.env.GITHUB_ACTIONS
  else process.env.GITHUB_ACTIONS = before
  assert.match(stderr, '▶ Build')
  assert.not.match(stderr, '::group::')
})

test('what belongs to an upgrade is refused without one, and data that could not be put back beforehand', () => {
  for (const flag of [['--identity', 'x'], ['--restore-on-failure']]) {
    const { code, stderr } = box.script(['up', ...flag])
    assert.is(code, 2, stderr)
    assert.match(stderr, `${flag[0]} goes with --upgrade`)
  }
  const file = join(box.docker, '.env')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, `${text}BACKUP_RECIPIENTS=age1x\n`)
  const { code, stderr } = box.script(['up', '--upgrade', '--restore-on-failure'])
  writeFileSync(file, text)
  assert.is(code, 2, stderr)
  assert.match(stderr, 'needs --identity')
})

test('a checkout that is the pinned commit is built', async () => {
  const { code, stderr } = await up()
  assert.is(code, 3, stderr)
  assert.match(stderr, /WHAT {2}Build shop[^]*the builder has been asked/)
})

test('one that has changes, or is at another commit, is not: the image would bear a wrong name; it is pulled, or refused with that reason', async () => {
  const proxy = { HTTPS_PROXY: 'http://127.0.0.1:9' }
  writeFileSync(join(source, 'new'), '')
  const changed = await up()
  assert.is(changed.code, 3, changed.stderr)
  assert.match(
    changed.stderr,
    /no answer from the registry 127\.0\.0\.1:9[^]*Not built: Check the source of shop: it has changes that are in no commit: new/,
  )
  assert.not.ok(asked(changed.calls, /bake/))
  commit(source)
  const other = await up([], [], proxy)
  assert.is(other.code, 3, other.stderr)
  const reason = `Not built: .*its tag is ${ref.slice(0, 12)}, its source is at `
  assert.match(
    other.stderr,
    new RegExp(`could not be pulled[^]*${reason}[^]*NEXT {2}git -C ${source} checkout ${ref}`),
  )
  assert.not.ok(asked(other.calls, /bake/))
})

test('where nobody says whose an image is, no registry is asked for it, and the key is named', async () => {
  const nobodys = (said: object) =>
    JSON.stringify(said).replace('127.0.0.1:9/o', 'unset.invalid').replace(source, '/nowhere')
  const { code, stderr, calls } = await up(
    [],
    [
      {
        call: /^docker compose --file docker-compose\.build\.yml config/,
        stdout: nobodys(targets),
      },
      { call: /^docker compose .* config --format json$/, stdout: nobodys(config) },
    ],
  )
  assert.is(code, 3, stderr)
  assert.match(
    stderr,
    /the owner of the images is not set[^]*unset\.invalid\/shop:[^]*NEXT {2}npx zx scripts\/env\.ts --owner NAME   \(sets SHOP_OWNER in infra\/docker\/shop\/\.env\.example\)/,
  )
  assert.not.ok(asked(calls, /pull|bake/))
})

test('behind a proxy, or with mirrors, the engine is asked to pull, whatever answers here', async () => {
  assert.not.ok(asked((await up()).calls, /pull/))
  const info = JSON.stringify({ RegistryConfig: { Mirrors: ['https://mirror.kgc.test/'] } })
  assert.ok(asked((await up([], [{ call: /^docker info/, stdout: info }])).calls, /pull/))
  assert.ok(asked((await up([], [], { https_proxy: 'http://127.0.0.1:9' })).calls, /pull/))
  assert.ok(hasProxyOrMirror({ HttpsProxy: 'http://proxy' }, {}))
  assert.ok(
    hasProxyOrMirror(
      { RegistryConfig: { IndexConfigs: { 'docker.io': { Mirrors: ['https://m/'] } } } },
      {},
    ),
  )
  assert.not.ok(
    hasProxyOrMirror(
      {
        HttpProxy: '',
        RegistryConfig: { Mirrors: [], IndexConfigs: { 'docker.io': { Mirrors: null } } },
      },
      { HTTP_PROXY: '' },
    ),
  )
})

test('a secret that a failing container prints is not printed, though every image is here', () => {
  const [, password] = /^SHOP_PASSWORD=(.+)$/m.exec(
    readFileSync(join(box.docker, 'shop/.env'), 'utf8'),
  )!
  const state = {
    Status: 'exited',
    ExitCode: 7,
    OOMKilled: false,
    Error: '',
    StartedAt: '2026-01-01T00:00:00Z',
    FinishedAt: '2036-01-01T00:00:00Z',
  }
  const container = {
    Id: 'a',
    Name: '/shop',
    RestartCount: 0,
    Config: { Labels: { 'com.docker.compose.service': 'shop' }, Image: image },
    State: state,
  }
  const { code, stderr } = upAlone([
    { call: /^docker image inspect/ },
    { call: /^docker ps/, stdout: 'a\n' },
    { call: /^docker inspect/, stdout: JSON.stringify([container]) },
    { call: /^docker compose .* up / },
    { call: /^docker compose .* logs /, stdout: `cannot log in with ${password}\n` },
  ])
  assert.is(code, 6, stderr)
  assert.match(stderr, 'cannot log in with [secret]')
  assert.not.match(stderr, password!)
})

test('docker/compose#11990: a release of Compose with a known fault is refused before it reads a file, with what mends it', async () => {
  const { code, stderr, calls } = await up(
    [],
    [{ call: /^docker compose version/, stdout: '2.29.0\n' }],
  )
  assert.is(code, 3, stderr)
  assert.match(
    stderr,
    /WHY {3}2\.29\.0 empties \$\$NAME in included files[^]*NEXT {2}make bootstrap/,
  )
  assert.not.ok(asked(calls, /config|up/))
})

test('docker/compose#9578: a variable of the shell that says something else than the env files is named and not used', async () => {
  const shell = { SHOP_OWNER: 'somebody', SHOP_SOURCE: source, COMPOSE_PROFILES: 'all' }
  const { stderr } = await up([], [], shell)
  assert.match(stderr, 'SHOP_OWNER is set in the shell to something else than')
  assert.match(stderr, 'infra/docker/shop/.env, which counts')
  assert.not.match(stderr, /SHOP_SOURCE is set in the shell|somebody/)
  const reading = engine.calls().filter(({ words }) => words.join(' ').endsWith('--format json'))
  const own = reading.filter(({ words }) => words.includes('--env-file'))
  assert.ok(own.length)
  for (const { env } of own)
    assert.equal(
      Object.keys(shell).filter(key => key in env),
      [],
    )
})

test('docker/hub-feedback#2464, dexidp/dex#2672: what a registry says decides what to do, and which registry', () => {
  const hub = 'redis:7.4'
  const limit = 'toomanyrequests: You have reached your unauthenticated pull rate limit.'
  assert.match(adviseOnPull(limit, hub), /^docker login {3}.*in an hour$/)
  assert.match(adviseOnPull('denied: denied', 'ghcr.io/kgc/api:1'), /^docker login ghcr\.io, or/)
  assert.match(adviseOnPull('unauthorized: authentication required', hub), /^docker login, or/)
  assert.match(adviseOnPull('write: no space left on device', hub), /prune/)
  assert.match(
    adviseOnPull('x509: certificate signed by unknown authority', 'r.kgc.hu/api:1'),
    /certs\.d\/r\.kgc\.hu/,
  )
})

test('samugit83/redamon#163: where the machine has fewer CPUs than a limit, the limit is lowered, and only then', async () => {
  const greedy = { ...config, services: { shop: { image, cpus: 2 }, small: { image, cpus: 0.5 } } }
  assert.equal(lowerCpuLimits(greedy, 1), { shop: { cpus: 1 } })
  assert.equal(lowerCpuLimits(greedy, 2), {})
  const { stderr, calls } = await up(
    [],
    [
      { call: /^docker info/, stdout: JSON.stringify({ ServerVersion: '1', NCPU: 1 }) },
      { call: /^docker image inspect/ },
      { call: /^docker compose .* config --format json$/, stdout: JSON.stringify(greedy) },
      { call: /^docker compose .* up /, code: 1 },
    ],
  )
  assert.match(stderr, /the engine has 1 CPU: the limit of shop is lowered to that/)
  assert.ok(asked(calls, /-f \S+docker-compose\.cpus\.yml up -d/))
})

test('a secret in the answer of a health check is not shown on a terminal, in the table either', () => {
  const [, password] = /^SHOP_PASSWORD=(.+)$/m.exec(
    readFileSync(join(box.docker, 'shop/.env'), 'utf8'),
  )!
  const Log = [
    {
      Start: '2036-01-01T00:00:00Z',
      End: '2036-01-01T00:00:00Z',
      ExitCode: 1,
      Output: `refused: ${password}\n`,
    },
  ]
  const state = {
    Status: 'running',
    ExitCode: 0,
    OOMKilled: false,
    Error: '',
    StartedAt: '2036-01-01T00:00:00Z',
    Health: { Status: 'unhealthy', Log },
  }
  const container = {
    Id: 'a',
    Name: '/shop',
    RestartCount: 0,
    Config: {
      Labels: { 'com.docker.compose.service': 'shop' },
      Image: image,
      Healthcheck: { Interval: 1e9, Retries: 1 },
    },
    State: state,
  }
  engine.answer([
    { call: /^docker image inspect/ },
    {
      call: /^docker compose .* config --format json$/,
      stdout: JSON.stringify({
        ...config,
        services: { shop: { image, healthcheck: { test: ['CMD', 'check'] } } },
      }),
    },
    { call: /^docker ps/, stdout: 'a\n' },
    { call: /^docker inspect/, stdout: JSON.stringify([container]) },
    { call: /^docker compose .* (up|logs) / },
    ...answers,
  ])
  const env = { ...engine.env, PATH: `${engine.bin}:${process.env.PATH}` }
  const { code, lines, text } = onTerminal([process.execPath, ...readTypeScript, 'scripts/up.ts'], {
    columns: 100,
    rows: 30,
    cwd: box.root,
    env,
  })
  assert.is(code, 6, text)
  assert.match(lines.join('\n'), /✘ shop +unhealthy: refused: \[secret\]/)
  assert.not.match(text, password!)
})

test('env files that are older than their examples are refused before the engine is asked, with what brings them up to date', async () => {
  const before = readFileSync(example, 'utf8')
  writeFileSync(example, before.replace(ref, 'c'.repeat(40)))
  const { code, stderr, calls } = await up()
  assert.is(code, 2, stderr)
  assert.match(
    stderr,
    /infra\/docker\/shop\/\.env: SHOP_REF differs from what infra\/docker\/shop\/\.env\.example pins[^]*NEXT {2}make env/,
  )
  assert.equal(calls, [])
  assert.match(
    (await up(['demo'])).stderr,
    /shop\/\.env\.demo: SHOP_REF differs[^]*NEXT {2}npx zx scripts\/env\.ts demo/,
  )
  writeFileSync(example, before)
  appendFileSync(example, '\nSHOP_NEW=\n')
  assert.match((await up()).stderr, /shop\/\.env: SHOP_NEW is missing[^]*NEXT {2}make env/)
  writeFileSync(example, before)
})

test('docker/compose#11058: what Compose would read otherwise than it is written is refused by file and line', async () => {
  const extra = join(box.docker, 'shop/extra.env')
  writeFileSync(extra, "A='$b'\nTOKEN=hunter22$b\n", { mode: 0o600 })
  const { code, stderr, calls } = await up()
  rmSync(extra)
  assert.is(code, 2, stderr)
  assert.match(stderr, 'infra/docker/shop/extra.env: TOKEN line 2 would arrive as another value')
  assert.match(stderr, 'npx zx scripts/env.ts --check')
  assert.not.match(stderr, 'hunter22')
  assert.equal(calls, [])
})

test('what else is wrong with them stays with env --check', async () => {
  appendFileSync(join(box.docker, 'shop/.env'), 'SHOP_OLD=x\n')
  assert.is(box.script(['env', '--check']).code, 2)
  assert.is((await up()).code, 3)
})

test.run()
