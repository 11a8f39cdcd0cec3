// Images go to a real registry with TLS and a log-in, and what can go wrong on the way does.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { call, clean, docker, folder, logIn, prepare, proxy, registry, trust } from './registry.ts'
import { begin, box, images, newSource, ownRepository, pin, source } from './setup.ts'
import {
  schemaLabel,
  computeSchemaVersion,
} from '../../../scripts/lib/images/build/schema-version.ts'
import { commit } from '../../git.ts'
import { waitUntil } from '../../until.ts'

const test = suite('images')
process.once('exit', clean)
prepare()
const [real, full] = [registry(18200), registry(18202, '3m')]
const { host: proxied, rules, end } = await proxy(18201, real)
for (const host of [real.host, proxied, full.host]) trust(host)
const writer = logIn('writer', real.host, proxied, full.host)
const reader = logIn('reader', proxied)
const kgc = ['kgc-api', 'kgc-web', 'kgc-admin', 'kgc-migrate']
let ref = newSource(1_000_000)
let attests = false
const own = ownRepository()
const digestOf = async (name: string, tag: string) =>
  (await call(real.host, `kgc/${name}/manifests/${tag}`, 'HEAD')).digest
const tagsOf = async (name: string) =>
  (JSON.parse((await call(real.host, `kgc/${name}/tags/list`)).body).tags ?? []) as string[]
/** What a workflow was told of the images. */
const toldIn = (output: string) =>
  JSON.parse(/^images=(.*)$/m.exec(readFileSync(output, 'utf8'))![1]!) as {
    target: string
    name: string
    tag: string
    digest: string
    built: boolean
  }[]
/** What carried data: an upload that is begun and given up does not. */
const sent = (requests: string[]) => requests.filter(line => /^(PATCH|PUT) \S+\/blobs\//.test(line))
const release = { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: 'v1.2.3' }
const overflowing = begin(full.host, writer, ['push', 'kgc-api', 'kgc-web'])

test('everything that can be built is pushed under its commit, its branch and its own tag; the digests come back', async () => {
  const output = join(folder, 'output')
  const { code, stdout, stderr } = images(real.host, writer, ['push'], {
    env: { GITHUB_OUTPUT: output, ...release },
  })
  assert.is(code, 0, stderr)
  // which of both it says depends on where the engine keeps its images
  assert.match(stderr, /this builder cannot put SBOM and provenance into images|with provenance/)
  attests = /with provenance/.test(stderr)
  const told = toldIn(output)
  assert.ok(
    told.every(({ built }) => built),
    'an image that this run has not built is signed by nobody',
  )
  assert.equal(told.map(({ target }) => target).sort(), [
    'horilla',
    'kgc-admin',
    'kgc-api',
    'kgc-migrate',
    'kgc-web',
  ])
  // api's and web's Dockerfiles are of one size and time: a builder would take the one for the
  // other
  assert.is(new Set(told.map(({ digest }) => digest)).size, 5, stdout)
  for (const { target, name, tag, digest } of told) {
    const short = name.split('/').at(-1)!
    assert.is(tag, target === 'horilla' ? own : ref)
    const tags = target === 'horilla' ? ['1.2.3', '2.1.8-kgc', own] : ['1.2.3', ref]
    for (const one of tags) assert.is(await digestOf(short, one), digest, `${short}:${one}`)
    assert.equal((await tagsOf(short)).sort(), [...tags, 'incoming'].sort())
    assert.match(
      stdout,
      new RegExp(`^${target} .*${digest}  \\d+\\.\\d MB  \\d of \\d layers`, 'm'),
    )
  }
})

test('an image that is pulled by its digest says what it was made of', async () => {
  const image = `${real.host}/kgc/kgc-api@${await digestOf('kgc-api', ref)}`
  docker('--config', writer, 'pull', '--quiet', image)
  const labels = JSON.parse(
    docker('image', 'inspect', '--format', '{{json .Config.Labels}}', image),
  ) as Record<string, string>
  docker('image', 'rm', image)
  const { 'hu.kgc.recipe': recipe, ...others } = labels
  assert.match(recipe!, /^[0-9a-f]{16}$/)
  assert.equal(others, {
    'org.opencontainers.image.source': 'https://github.com/acme/kgc-erp',
    'org.opencontainers.image.revision': ref,
    'org.opencontainers.image.version': '1.2.3',
    'org.opencontainers.image.created': '2026-11-01T11:00:00Z',
  })
})

test("the image that migrates holds the migrations, which KGC's .dockerignore leaves out, and their version as a label", async () => {
  const image = `${real.host}/kgc/kgc-migrate@${await digestOf('kgc-migrate', ref)}`
  docker('--config', writer, 'pull', '--quiet', image)
  const label = docker(
    'image',
    'inspect',
    '--format',
    `{{index .Config.Labels "${schemaLabel}"}}`,
    image,
  )
  assert.is(
    label,
    computeSchemaVersion(source, [
      'apps/kgc-api/prisma/schema.prisma',
      'apps/kgc-api/prisma/migrations',
    ]),
  )
  const container = docker('create', image)
  docker('cp', `${container}:/prisma`, join(folder, 'held'))
  docker('rm', container)
  docker('image', 'rm', image)
  const held = readdirSync(join(folder, 'held'), { recursive: true }).sort()
  assert.equal(held, [
    'migrations',
    'migrations/1_first',
    'migrations/1_first/migration.sql',
    'schema.prisma',
  ])
})

test('a second push sends nothing; one that builds again sends no layer', () => {
  real.requests()
  const output = join(folder, 'output-again')
  const again = images(real.host, writer, ['push'], { env: { GITHUB_OUTPUT: output } })
  assert.is(again.code, 0, again.stderr)
  assert.equal(
    toldIn(output).map(({ built }) => built),
    Array(5).fill(false),
  )
  assert.match(again.stderr, /is there: it is not built again/)
  assert.not.match(again.stderr, /▶ Build/)
  const requests = real.requests()
  assert.equal(requests.filter(line => /^PATCH/.test(line)).concat(sent(requests)), [])
  const replaced = images(real.host, writer, ['push', '--replace', ...kgc], { env: release })
  assert.is(replaced.code, 0, replaced.stderr)
  // an old BuildKit may date the image anew, and then its configuration goes over, as what it is
  // made of does where that is said; no layer does
  assert.is(replaced.stdout.match(/ nothing$/gm)?.length, kgc.length, replaced.stdout)
  assert.ok(
    sent(real.requests()).filter(line => line.startsWith('PUT')).length <=
      (attests ? 4 : 1) * kgc.length,
  )
})

test('what the build file builds in another way is built again from main; a branch replaces nothing that every environment names', async () => {
  const file = join(box.docker, 'docker-compose.build.yml')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace('VITE_APP_NAME: KGC', 'VITE_APP_NAME: Other'))
  const feature = { GITHUB_REF_TYPE: 'branch', GITHUB_REF_NAME: 'feature' }
  const [web, hr] = [await digestOf('kgc-web', ref), await digestOf('horilla-hr', '2.1.8-kgc')]
  const branch = images(real.host, writer, ['push', 'kgc-web'], { env: feature })
  assert.is(branch.code, 0, branch.stderr)
  assert.match(
    branch.stderr,
    /was not built as docker-compose\.build\.yml now says: main, a version or --replace builds it again/,
  )
  assert.is(await digestOf('kgc-web', ref), web)
  const own = images(real.host, writer, ['push', '--replace', 'horilla'], { env: feature })
  assert.is(own.code, 0, own.stderr)
  assert.match(own.stderr, 'horilla: the tag 2.1.8-kgc is not moved')
  assert.is(await digestOf('horilla-hr', '2.1.8-kgc'), hr)
  assert.is.not(await digestOf('horilla-hr', 'feature'), hr)
  const main = images(real.host, writer, ['push', ...kgc])
  writeFileSync(file, text)
  assert.is(main.code, 0, main.stderr)
  assert.match(main.stderr, /kgc-web:\w+ is there, but was not built as .*: it is built again/)
  assert.match(main.stderr, '▶ Build kgc-web\n')
  assert.is.not(await digestOf('kgc-web', ref), web)
})

test('a login that may only read, one that is missing and one that is wrong are refused before anything is built', async () => {
  const fresh = newSource()
  const cases: [string, RegExp][] = [
    [reader, /WHY\s+\S+ denies it \(403, permission_denied: .*\): the login lacks write:packages/],
    [join(folder, 'nobody'), /denies it \(401.*no login: docker login 172/],
  ]
  for (const [config, words] of cases) {
    const { code, stderr } = images(proxied, config, ['push', ...kgc])
    assert.is(code, 3, stderr)
    assert.match(stderr, words)
    assert.match(stderr, /NEXT\s+a token with write:packages/)
    assert.not.match(stderr, /▶ Build|reader-password/)
  }
  assert.is((await tagsOf('kgc-api')).includes(fresh), false)
})

test('changed sources are not pushed, and a source at another commit than the pinned one is not built', () => {
  writeFileSync(join(source, 'apps/kgc-api/content'), 'changed')
  const changed = images(real.host, writer, ['push', 'kgc-api'])
  assert.is(changed.code, 3)
  assert.match(changed.stderr, /changes that are in no commit: apps\/kgc-api\/content/)
  const other = commit(source)
  const { code, stderr } = images(real.host, writer, ['build', 'kgc-api'])
  assert.is(code, 3)
  assert.match(stderr, new RegExp(`its source is at ${other.slice(0, 12)}`))
})

test('a registry that has had too many requests is asked again when it says', () => {
  ref = newSource()
  rules({ busy: 2 })
  const { code, stderr } = images(proxied, writer, ['push', 'kgc-api'])
  assert.is(code, 0, stderr)
  assert.is(stderr.match(/too many requests \(429\); again in 2 s/g)?.length, 2, stderr)
})

test('a commit that does not build says what is missing, and which one was the last that built', async () => {
  const built = (await tagsOf('kgc-api')).filter(tag => tag.length === 40)
  writeFileSync(join(source, 'apps/kgc-api/Dockerfile'), 'FROM scratch\nCOPY apps/kgc-api/none /\n')
  pin(commit(source))
  const { code, stderr } = images(real.host, writer, ['build', 'kgc-api'])
  assert.is(code, 5, stderr)
  assert.match(stderr, /WHY\s+.*COPY apps\/kgc-api\/none.*: .*not found/)
  const [, last = ''] = /The last commit that built: (\w+) \(\S+ has it, of 20/.exec(stderr) ?? []
  assert.ok(built.includes(last), stderr)
  assert.match(stderr, new RegExp(`NEXT\\s+KGC_REF=${last}`))
})

test('a registry that has no space for a manifest leaves no tag behind', async () => {
  ref = newSource()
  rules({ space: false })
  const { code, stderr } = images(proxied, writer, ['push', 'kgc-api', 'kgc-web'])
  rules({})
  assert.is(code, 3, stderr)
  assert.match(stderr, /WHY\s+.*no space left/)
  for (const name of ['kgc-api', 'kgc-web']) assert.is((await tagsOf(name)).includes(ref), false)
})

test('a registry that is killed in mid-push and comes back gets the rest, and nothing twice', async () => {
  ref = newSource(20_000_000)
  real.requests()
  const push = begin(real.host, writer, ['push', ...kgc])
  await waitUntil(
    'the second image is on its way',
    60,
    () => /▶ Push \S+kgc-api/.test(push.said()),
    100,
  )
  real.kill()
  const arrived = real.requests()
  const pause = new Promise<string>(done => setTimeout(done, 1500, 'it goes on'))
  assert.is(await Promise.race([push.code, pause]), 'it goes on')
  real.start()
  assert.is(await push.code, 0, push.said())
  const layers = [...arrived, ...real.requests()]
    .filter(line => /^PUT \S+\/blobs\/.*201$/.test(line))
    .map(line => /digest=([^&\s]+)/.exec(line)![1])
  assert.is(new Set(layers).size, layers.length, 'no layer was sent twice')
  for (const name of kgc) assert.ok(await digestOf(name, ref), name)
})

test('a push that is interrupted sets no tag; the next one sends the rest', async () => {
  ref = newSource(10_000_000)
  const push = begin(real.host, writer, ['push', ...kgc])
  await waitUntil(
    'the second image is on its way',
    60,
    () => /▶ Push \S+kgc-api/.test(push.said()),
    100,
  )
  push.kill('SIGINT')
  assert.is(await push.code, 130, push.said())
  for (const name of kgc) assert.is((await tagsOf(name)).includes(ref), false, name)
  const { code, stderr, stdout } = images(real.host, writer, ['push', ...kgc])
  assert.is(code, 0, stderr)
  assert.match(stdout, /(nothing|[12] of 2 layers)/)
})

test('a full disk is said, and leaves no tag behind', async () => {
  assert.is(await overflowing.code, 3, overflowing.said())
  assert.match(overflowing.said(), /WHY\s+.*no space left on device[^]*NEXT\s+free space/)
  const tags = JSON.parse((await call(full.host, 'kgc/kgc-api/tags/list')).body).tags as
    | string[]
    | undefined
  assert.equal(
    (tags ?? []).filter(tag => tag !== 'incoming'),
    [],
  )
})

test.after(end)

test.run()
