// What images are called, which pins are right and how they are written, and what may go from a
// registry.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Failure } from '../../scripts/lib/errors.ts'
import { makeFileTimesUnique } from '../../scripts/lib/images/build/bake.ts'
import { hashRecipe } from '../../scripts/lib/images/build/targets.ts'
import { findCommitPins, describeCommitPins } from '../../scripts/lib/images/pinned-commits.ts'
import { copySource } from '../../scripts/lib/images/build/source-copy.ts'
import {
  listGitHubVersions,
  removeGitHubVersion,
} from '../../scripts/lib/images/github-packages.ts'
import { briefRetryDelaysSeconds, retryRegistry } from '../../scripts/lib/images/registry/retry.ts'
import { judgePin, findPins, replaceDigests } from '../../scripts/lib/images/pins.ts'
import { readPinFiles } from '../../scripts/lib/images/pins-check.ts'
import { describeUpload, findExistingImage } from '../../scripts/lib/images/push.ts'
import { adviseAfterRefusal, parsePushError } from '../../scripts/lib/images/registry/refusals.ts'
import { RegistryError } from '../../scripts/lib/images/registry/errors.ts'
import { callRegistry } from '../../scripts/lib/images/registry/client.ts'
import {
  readGitRef,
  toWebAddress,
  type GitRef,
  type ImageSource,
} from '../../scripts/lib/images/build/source.ts'
import { listImageVersions } from '../../scripts/lib/images/registry-versions.ts'
import { findRemovableVersions, type ImageVersion } from '../../scripts/lib/images/retention.ts'
import {
  withPushTags,
  isBuiltByThisRun,
  withRunLabel,
  planImageTags,
  recipeLabel,
  tagForRef,
  requireDistinctTags,
  runLabel,
} from '../../scripts/lib/images/build/tags.ts'
import { commit as gitCommit, git, initialize } from '../git.ts'
import { addressOf } from '../compose/images/bridge.ts'

const test = suite('images')
const commit = 'a'.repeat(40)
const digest = (letter: string) => `sha256:${letter.repeat(64)}`
const source: ImageSource = {
  commit,
  created: '2026-11-01T11:00:00Z',
  url: 'https://github.com/o/r',
  changed: [],
  shallow: false,
}
const target = (image: string, name = 'api') => ({
  name,
  image,
  context: '/x',
  dockerfile: '/x/Dockerfile',
  here: true,
  recipe: 'as-now',
})
const main: GitRef = { type: 'branch', name: 'main' }

test("a submodule's copy has a .git that knows the commit, what is not committed yet, and nothing that is left out or ignored", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-test-'))
  const [upstream, fork, copy] = ['upstream', 'own/fork', 'copy'].map(name =>
    join(folder, name),
  ) as [string, string, string]
  for (const path of ['a', 'gone', 'ee/b', 'spec/ee/c', 'spec/d']) {
    mkdirSync(dirname(join(upstream, path)), { recursive: true })
    writeFileSync(join(upstream, path), '')
  }
  writeFileSync(join(upstream, '.gitignore'), 'built\n')
  initialize(upstream)
  const at = gitCommit(upstream)
  mkdirSync(join(folder, 'own'))
  initialize(join(folder, 'own'))
  git(
    join(folder, 'own'),
    '-c',
    'protocol.file.allow=always',
    'submodule',
    '--quiet',
    'add',
    upstream,
    'fork',
  )
  for (const path of ['built', 'new']) writeFileSync(join(fork, path), '')
  rmSync(join(fork, 'gone'))
  await copySource(fork, { without: ['ee', 'spec/ee'] }, copy)
  const files = readdirSync(copy, { recursive: true, encoding: 'utf8' }).filter(
    path => !/^\.git($|\/)/.test(path),
  )
  assert.equal(files.sort(), ['.gitignore', 'a', 'new', 'spec', 'spec/d'])
  // git itself, where it sees the copy and nothing else
  rmSync(join(folder, 'own'), { recursive: true })
  assert.is(git(copy, 'rev-parse', 'HEAD'), at)
  rmSync(folder, { recursive: true })
})

test('a branch and a version give a tag, other tags of git give none', () => {
  const cases: [GitRef, string | undefined][] = [
    [main, 'main'],
    [{ type: 'branch', name: 'feature/Über-x_1' }, 'feature-ber-x_1'],
    [{ type: 'branch', name: '--.x' }, 'x'],
    [{ type: 'branch', name: commit }, undefined],
    [{ type: 'branch', name: 'b'.repeat(200) }, 'b'.repeat(128)],
    [{ type: 'tag', name: 'v1.2.3' }, '1.2.3'],
    [{ type: 'tag', name: '1.2.3-rc.1' }, '1.2.3-rc.1'],
    [{ type: 'tag', name: 'v1.2' }, undefined],
    [{ type: 'tag', name: 'v1.2.3+x' }, undefined],
    [{ type: '', name: '' }, undefined],
  ]
  for (const [ref, tag] of cases) assert.is(tagForRef(ref), tag, JSON.stringify(ref))
})

test("an image has its branch's, its file's and its commit's tag, in this order, and a name in lower case", () => {
  assert.equal(planImageTags(target(`ghcr.io/Org/Api:${commit}`), source, main), {
    target: 'api',
    name: 'ghcr.io/org/api',
    commit,
    tags: ['main', commit],
    labels: {
      'org.opencontainers.image.source': 'https://github.com/o/r',
      'org.opencontainers.image.revision': commit,
      'org.opencontainers.image.version': commit,
      'org.opencontainers.image.created': '2026-11-01T11:00:00Z',
      [recipeLabel]: 'as-now',
    },
    fileTag: commit,
    leads: true,
  })
  const tagged = planImageTags(
    target('ghcr.io/org/hr:2.1.8-kgc'),
    { ...source, url: '' },
    { type: 'tag', name: 'v3.0.0' },
  )
  assert.equal(tagged.tags, ['3.0.0', '2.1.8-kgc', commit])
  assert.is(tagged.labels['org.opencontainers.image.version'], '3.0.0')
  assert.not.ok('org.opencontainers.image.source' in tagged.labels)
})

test("a push sets the file's own tag from main and versions alone, whatever a branch is called; a build sets it always", () => {
  const tags = (ref: GitRef, image = 'ghcr.io/org/hr:2.1.8-kgc') => {
    const plan = planImageTags(target(image), source, ref)
    return [plan.tags, withPushTags(plan).tags].map(list =>
      list.map(tag => (tag === commit ? 'commit' : tag)).join(' '),
    )
  }
  assert.equal(tags(main), Array(2).fill('main 2.1.8-kgc commit'))
  assert.equal(tags({ type: 'tag', name: 'v3.0.0' }), Array(2).fill('3.0.0 2.1.8-kgc commit'))
  assert.equal(tags({ type: 'branch', name: 'feature/x' }), [
    'feature-x 2.1.8-kgc commit',
    'feature-x commit',
  ])
  assert.equal(tags({ type: 'branch', name: '2.1.8-kgc' }), ['2.1.8-kgc commit', 'commit'])
  assert.equal(tags({ type: 'tag', name: 'nightly' }), ['2.1.8-kgc commit', 'commit'])
  assert.equal(tags({ type: '', name: '' }), ['2.1.8-kgc commit', 'commit'])
  assert.equal(tags({ type: 'branch', name: 'x' }, `x/api:${commit}`), Array(2).fill('x commit'))
})

test('Dockerfiles of one size and time are set apart, others are left alone; a second time changes nothing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-test-'))
  const files = ['a', 'b', 'c', 'longer'].map(name => join(folder, name))
  for (const file of files) {
    writeFileSync(file, `FROM ${basename(file)}\n`)
    utimesSync(file, 1_700_000_000, 1_700_000_000)
  }
  const times = () => files.map(file => statSync(file).mtimeMs)
  makeFileTimesUnique(files)
  const apart = times()
  assert.is(new Set(apart.slice(0, 3)).size, 3)
  assert.equal([apart[0], apart[3]], [1_700_000_000_000, 1_700_000_000_000])
  makeFileTimesUnique(files)
  assert.equal(times(), apart)
  rmSync(folder, { recursive: true })
})

test('no commit, another commit, or one name for two images: none is built', () => {
  assert.throws(
    () =>
      planImageTags(target('x/api:unset'), source, main, findCommitPins(['x/kgc-api:unset'])[0]),
    (error: Failure) =>
      /no commit is chosen/.test(error.why) &&
      error.next === `KGC_REF=${commit}   (in infra/docker/kgc/.env.example)`,
  )
  assert.is(
    describeCommitPins(['x/kgc-api:unset', 'x/kgc-web:unset', 'x/redis:8']),
    'KGC_REF in infra/docker/kgc/.env.example',
  )
  assert.throws(
    () => planImageTags(target(`x/api:${'b'.repeat(40)}`), source, main),
    /its tag is bbbbbbbbbbbb, its source is at aaaaaaaaaaaa/,
  )
  const two = [target('x/hr:1', 'one'), target('x/hr:2', 'two')].map(one =>
    planImageTags(one, source, main),
  )
  assert.throws(() => requireDistinctTags(two), /one and two would both be x\/hr:main/)
})

test("a remote is given as people open it, without anybody's login", () => {
  const same = [
    'git@github.com:o/r.git',
    'https://user:secret@github.com/o/r.git',
    'ssh://git@github.com:22/o/r',
    'https://github.com/o/r/',
  ]
  for (const remote of same) assert.is(toWebAddress(remote), 'https://github.com/o/r', remote)
  for (const remote of ['', '/srv/r.git', '../r', 'file:///srv/r'])
    assert.is(toWebAddress(remote), '', remote)
})

test("the workflow's ref is the ref", async () => {
  assert.equal(await readGitRef('/', { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: 'v1.0.0' }), {
    type: 'tag',
    name: 'v1.0.0',
  })
  assert.equal(await readGitRef('/', {}), { type: '', name: '' })
})

const file = 'docker-compose.yml'
const yaml = `services:
  a: { image: redis:7, ports: ["80:80"] }
  b:
    # image: redis:6
    image: "redis:7@${digest('1')}"   # why
  c: { image: \${X_IMAGE:-org/c:1.2} }
  d: { image: \${REGISTRY:-ghcr.io/o}/d:\${REF:-unset} }
  e:
    image: registry.local:5000/e/f:v1
    command: [sh, -c, "echo image:tag x:1"]
`

const dockerfile = `ARG C_BASE=org/c:1.2
ARG URL=http://h:80
FROM \${C_BASE}
FROM node:20 AS b
COPY --from=b /a:b /c
COPY --from=tool:9 /a /b
RUN echo x:1
`

test('pins are read off YAML, Dockerfiles and examples, and only there where an image stands', () => {
  const files = new Map([
    [file, yaml],
    ['x/Dockerfile', dockerfile],
    ['.env.example', 'X_IMAGE=org/c:1.2\nTIME=a:1\n'],
  ])
  const pins = findPins(files)
  const counts = pins.map(({ image, places }) => `${image} ${places.length}`)
  assert.equal(counts.sort(), [
    'node:20 1',
    'org/c:1.2 3',
    'redis:7 2',
    'registry.local:5000/e/f:v1 1',
    'tool:9 1',
  ])
  assert.equal(pins[0], {
    image: 'redis:7',
    places: [
      { file, line: 2 },
      { file, line: 5, digest: digest('1') },
    ],
  })
})

test('a pin is judged by what its registry has', () => {
  const pin = (...digests: (string | undefined)[]) => ({
    image: 'a:1',
    places: digests.map((digest, i) => ({ file, line: i, ...(digest ? { digest } : {}) })),
  })
  const [old, now] = [digest('1'), digest('2')]
  const state = (...[pin, seen]: Parameters<typeof judgePin>) =>
    `${judgePin(pin, seen).state} ${judgePin(pin, seen).words}`.trim()
  assert.is(state(pin(now, now), { digest: now }), 'good')
  assert.is(
    state(pin(undefined, undefined), { digest: now }),
    'no digest 2 of 2 places; the tag is sha256:222222222222',
  )
  assert.is(
    state(pin(now, undefined), { digest: now }),
    'no digest 1 of 2 places; the tag is sha256:222222222222',
  )
  assert.is(
    state(pin(old, now), { digest: now, oldIsThere: true }),
    'moved sha256:111111111111 is pinned and still there, the tag is sha256:222222222222',
  )
  assert.match(state(pin(old), { digest: now, oldIsThere: false }), /^moved .* and gone/)
  assert.match(state(pin(old), 'gone'), /^gone .*choose another/)
  assert.is(state(pin(old), { unknown: 'h is silent' }), 'unknown h is silent')
})

test('digests are written in every place, the rest of the text stays; a second time changes nothing', () => {
  const digests = new Map([
    ['redis:7', digest('2')],
    ['org/c:1.2', digest('3')],
    ['x:1', digest('4')],
  ])
  const written = replaceDigests(file, yaml, digests)
  const expected = yaml
    .replace('image: redis:7,', `image: redis:7@${digest('2')},`)
    .replace(digest('1'), digest('2'))
    .replace('org/c:1.2', `org/c:1.2@${digest('3')}`)
  assert.is(written, expected)
  assert.is(replaceDigests(file, written, digests), written)
  assert.is(
    replaceDigests('x/Dockerfile', 'FROM redis:7 AS x\n', digests),
    `FROM redis:7@${digest('2')} AS x\n`,
  )
  assert.is(replaceDigests('README.md', 'image: redis:7', digests), 'image: redis:7')
})

test("the stack's own pins are found: each image of Compose, none of the demo's", () => {
  const images = findPins(readPinFiles()).map(({ image }) => image)
  for (const name of ['postgres:', 'redis:', 'traefik:'])
    assert.ok(
      images.some(image => image.startsWith(name)),
      name,
    )
  assert.not.ok(
    images.some(image => /demo|127\.0\.0\.1/.test(image)),
    images.join(' '),
  )
})

const plain = { image: 'x', tags: [], size: 1, children: [] }
const version = (name: string, more: Partial<ImageVersion> = {}): ImageVersion => ({
  ...plain,
  digest: name,
  created: `2026-01-${name}`,
  ...more,
})
const going = (
  all: ImageVersion[],
  keep: Partial<Parameters<typeof findRemovableVersions>[1]> = {},
) =>
  findRemovableVersions(all, { newest: 0, named: new Set(), commits: false, ...keep }).map(
    ({ digest }) => digest,
  )

test('what goes: no tag, no release, not among the newest', () => {
  const all = ['01', '02', '03', '04'].map(name => version(name))
  assert.equal(going(all), ['01', '02', '03', '04'])
  assert.equal(going(all, { newest: 2 }), ['01', '02'])
  assert.equal(going(all, { newest: 2, named: new Set(['01']) }), ['02'])
  assert.equal(going([version('01', { tags: ['main'] }), version('02', { tags: [commit] })]), [])
  assert.equal(
    going([version('01', { tags: ['main', commit] }), version('02', { tags: [commit] })], {
      commits: true,
    }),
    ['02'],
  )
})

test('the parts of a version stay with it and count for nothing among the newest', () => {
  const index = version('09', { tags: ['main'], children: ['08', '07'] })
  const all = [index, version('08'), version('07'), version('02'), version('01')]
  assert.equal(going(all), ['02', '01'])
  assert.equal(going(all, { newest: 2 }), ['01'])
  assert.equal(going([{ ...index, tags: [] }, version('08'), version('07')]), ['09', '08', '07'])
  assert.equal(
    going([{ ...index, tags: [] }, version('08'), version('07')], { named: new Set(['08']) }),
    [],
    'whoever pulls the whole needs all',
  )
})

test('an attestation that is found by its tag stays or goes with its image, and takes no place among the newest', () => {
  const of = (letter: string) => ({ tags: [`sha256-${letter.repeat(64)}`] })
  const one = (letter: string, more: Partial<ImageVersion>) => version(digest(letter), more)
  const [old, now] = [
    one('a', { created: '2026-01-01', children: ['part'] }),
    one('b', { created: '2026-01-02', tags: [commit] }),
  ]
  const signed = [
    version('of-old', { ...of('a'), created: '2026-01-08', children: ['bundle'] }),
    version('of-now', { ...of('b'), created: '2026-01-09' }),
  ]
  const all = [old, now, ...signed, version('part'), version('bundle'), version('of-none', of('c'))]
  assert.equal(going(all, { newest: 1 }), [digest('a'), 'of-old', 'part', 'bundle', 'of-none'])
  assert.equal(going(all, { newest: 1, commits: true }), [
    digest('a'),
    'of-old',
    'part',
    'bundle',
    'of-none',
  ])
  assert.equal(going(all, { newest: 2 }), ['of-none'])
  assert.equal(going(all, { named: new Set([digest('a')]) }), ['of-none'])
  assert.equal(
    going(
      [...all, version('of-part', of('d'))].map(one =>
        one === old ? { ...old, tags: ['main'], children: [digest('d')] } : one,
      ),
    ),
    ['part', 'of-none'],
  )
})

test('nothing goes while it is not known what a version that is needed consists of', () => {
  const refused = (lost: Partial<ImageVersion>, keep: Parameters<typeof going>[1] = {}) => {
    try {
      return going([version('09', { ...lost, lost: true }), version('08')], keep)
    } catch (error) {
      return (error as Failure).evidence
    }
  }
  assert.is(refused({ tags: ['main'] }), 'x@09 main')
  assert.is(refused({ tags: [commit] }, { commits: true }), `x@09 ${commit}`)
  assert.is(refused({}, { named: new Set(['09']) }), 'x@09')
  assert.is(refused({}, { newest: 1 }), 'x@09')
  assert.equal(refused({}), ['09', '08'])
})

/**
 * A registry that has one image, under a commit and `main`; `lost`: lists it alone. Its name, and
 * how to end it.
 */
async function small(
  labels: Record<string, string>,
  lost = false,
): Promise<{ image: string; end: () => void }> {
  const config = JSON.stringify({ created: '2026-01-01T00:00:00Z', config: { Labels: labels } })
  const manifest = JSON.stringify({
    config: { digest: digest('c'), size: 1 },
    layers: [{ size: 2 }],
  })
  const server = createServer(({ method, url = '' }, response) => {
    const has = { 'docker-content-digest': digest('a') }
    if (url.includes('/tags/list')) response.end(JSON.stringify({ tags: ['main'] }))
    else if (url.includes('/blobs/')) response.end(config)
    else if (/\/(main|a{40})$/.test(url) && method === 'HEAD') response.writeHead(200, has).end()
    else if (url.endsWith(`/${digest('a')}`) && !lost) response.writeHead(200, has).end(manifest)
    else response.writeHead(404).end()
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return {
    image: `127.0.0.1:${(server.address() as AddressInfo).port}/o/a`,
    end: () => void server.close(),
  }
}

test('a version that its registry lists and does not have is lost, and no version without parts', async () => {
  for (const lost of [false, true]) {
    const { image, end } = await small({}, lost)
    const found = await listImageVersions(image)
    end()
    const known = { image, digest: digest('a'), tags: ['main'], children: [] }
    assert.equal(found, [
      lost
        ? { ...known, size: 0, created: '', lost }
        : { ...known, size: 3, created: '2026-01-01T00:00:00Z' },
    ])
  }
})

test("a commit's image is built again from main when the build file builds it in another way, not when its folder is elsewhere", async () => {
  const build = (context: string, VITE_API_URL: string) => ({
    context,
    dockerfile: 'Dockerfile',
    args: { VITE_API_URL },
  })
  assert.is(hashRecipe(build('/a', '/api/v1')), hashRecipe(build('/b', '/api/v1')))
  assert.is.not(hashRecipe(build('/a', '/api/v1')), hashRecipe(build('/a', '/api/v2')))
  const there = async (labels: Record<string, string>, ref: GitRef) => {
    const { image, end } = await small(labels)
    const found = await findExistingImage(planImageTags(target(`${image}:${commit}`), source, ref))
    end()
    assert.not.ok(found?.own)
    return found?.digest
  }
  const feature: GitRef = { type: 'branch', name: 'feature' }
  assert.is(await there({ [recipeLabel]: 'as-now' }, main), digest('a'))
  assert.is(await there({ [recipeLabel]: 'as-before' }, main), undefined)
  assert.is(await there({}, main), undefined, 'from a time without the label')
  assert.is(
    await there({ [recipeLabel]: 'as-before' }, feature),
    digest('a'),
    'a branch replaces nothing that every environment names',
  )
})

test('a re-run knows what an earlier attempt of the same run has built, and takes nothing else for its own', async () => {
  const plan = planImageTags(target(`x/api:${commit}`), source, main)
  assert.equal(withRunLabel(plan, {}), plan)
  const { labels } = withRunLabel(plan, { GITHUB_RUN_ID: '42' })
  assert.is(labels[runLabel], '42')
  const own = (id: string, attempt: string, seen = labels) =>
    isBuiltByThisRun(seen, { GITHUB_RUN_ID: id, GITHUB_RUN_ATTEMPT: attempt })
  assert.equal(
    [
      own('42', '2'),
      own('42', '1'),
      own('43', '2'),
      own('42', '2', plan.labels),
      isBuiltByThisRun(plan.labels, {}),
    ],
    [true, false, false, false, false],
  )
  const { image, end } = await small({ ...labels, [recipeLabel]: 'as-now' })
  Object.assign(process.env, { GITHUB_RUN_ID: '42', GITHUB_RUN_ATTEMPT: '2' })
  const found = await findExistingImage(
    planImageTags(target(`${image}:${commit}`), source, main),
  ).finally(end)
  for (const name of ['GITHUB_RUN_ID', 'GITHUB_RUN_ATTEMPT']) delete process.env[name]
  assert.equal(found, { digest: digest('a'), own: true })
})

test('what Docker says of a failed push is a refusal, or may pass', () => {
  const says = (text: string) => {
    const { status, passing, message } = parsePushError('ghcr.io/o/a', { stdout: '', stderr: text })
    return `${status} ${passing} ${message}`
  }
  assert.match(
    says('denied: permission_denied: The token provided does not match expected scopes.'),
    /^403 false ghcr.io denies it: .*write:packages/,
  )
  assert.match(says('no basic auth credentials'), /^403 false/)
  assert.match(says('toomanyrequests: retry-after: 1s'), /^429 true/)
  assert.match(
    says('received unexpected HTTP status: 507 Insufficient Storage'),
    /^507 false no space left/,
  )
  assert.match(says('received unexpected HTTP status: 502 Bad Gateway'), /^0 true/)
  assert.match(says('dial tcp 1.2.3.4:443: connect: connection refused'), /^0 true/)
  assert.match(says('tag does not exist: a:1'), /^400 false/)
})

test("actions/runner#1039, tridz-dev/huf#349: after GitHub's 403 both ways out are named, the likelier one first", () => {
  const no = new RegistryError(
    'ghcr.io denies it (403, permission_denied: write_package): the login lacks write:packages',
    403,
  )
  const [workflow, person] = [adviseAfterRefusal(no, true), adviseAfterRefusal(no, false)]
  assert.match(
    workflow,
    /^the package's settings on GitHub, Manage Actions access.*packages: write/,
  )
  assert.match(person, /^a token with write:packages, then docker login.*Manage Actions access/)
  const other = new RegistryError('r.kgc.hu denies it (403): the login lacks write:packages', 403)
  for (const inWorkflow of [true, false])
    assert.is(
      adviseAfterRefusal(other, inWorkflow),
      'a token with write:packages, then docker login --password-stdin',
    )
})

test('only what may pass is tried again, as long as the registry asks for', async () => {
  const tries = async (error: Error, times = 9) => {
    let count = 0
    const start = Date.now()
    const work = async () => {
      if (count++ < times) throw error
    }
    await retryRegistry('x', work, [0.01, 0.01]).catch(() => undefined)
    return [count, Math.floor((Date.now() - start) / 2000)]
  }
  assert.equal(await tries(new RegistryError('', 503)), [3, 0])
  assert.equal(await tries(new RegistryError('', 503), 1), [2, 0])
  assert.equal(await tries(new RegistryError('', 429, 2), 1), [2, 1])
  assert.equal(await tries(new RegistryError('', 429, 1000)), [1, 0])
  for (const error of [new RegistryError('', 403), new RegistryError('', 507), new Error('bug')])
    assert.equal(await tries(error), [1, 0])
  assert.is(briefRetryDelaysSeconds.length, 2)
})

test('who pushes asks for a token to push, even where the registry speaks of pull alone', async () => {
  const asked: string[] = []
  const server = createServer(({ method, url = '', headers }, response) => {
    asked.push(`${method} ${url}`)
    if (url.startsWith('/token')) response.end(JSON.stringify({ token: 'canary-token' }))
    else if (headers.authorization)
      response
        .writeHead(403, {})
        .end(JSON.stringify({ errors: [{ code: 'DENIED', message: 'no scope' }] }))
    else
      response
        .writeHead(401, {
          'www-authenticate': `Bearer realm="http://${headers.host}/token",service="s",scope="repository:o/a:pull"`,
        })
        .end()
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const words = await callRegistry(host, 'o/a/blobs/uploads/', { method: 'POST' }).then(
    () => '',
    error => (error as Error).message,
  )
  server.close()
  assert.is(
    words,
    `${host} denies it (403, no scope): the login lacks write:packages; there is no login: docker login ${host}`,
  )
  assert.is(asked[1], 'GET /token?service=s&scope=repository%3Ao%2Fa%3Apull%2Cpush')
})

test("GitHub's packages are listed page by page, of an organisation or a user, and the scope that is missing is named", async () => {
  const asked: string[] = []
  const tags = (id: number) => ({ container: { tags: id ? [] : ['main'] } })
  const list = Array.from({ length: 101 }, (_, id) => ({
    id,
    name: digest('1'),
    created_at: '2026-01-01',
    metadata: tags(id),
  }))
  const server = createServer(({ method, url = '', headers }, response) => {
    asked.push(`${method} ${url}`)
    const answer = (status: number, data: object = {}) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(data))
    const page = Number(new URL(url, 'http://h').searchParams.get('page'))
    if (headers.authorization !== 'token canary-token') answer(401)
    else if (!url.startsWith('/users/') || url.includes('/none/')) answer(404)
    else if (method === 'DELETE') answer(url.endsWith('/7') ? 204 : 403)
    else answer(200, list.slice((page - 1) * 100, page * 100))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  process.env.GITHUB_API_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  process.env.GITHUB_TOKEN = 'canary-token'
  const fails = (work: Promise<unknown>) =>
    work.then(
      () => '',
      error => (error as Error).message,
    )
  const one = (id: number) => version('1', { image: 'ghcr.io/o/a/b', id })
  try {
    const found = await listGitHubVersions('ghcr.io/o/a/b')
    assert.is(found.length, 101)
    assert.equal(found[0], {
      image: 'ghcr.io/o/a/b',
      id: 0,
      digest: digest('1'),
      created: '2026-01-01',
      tags: ['main'],
    })
    assert.ok(
      asked.includes('GET /users/o/packages/container/a%2Fb/versions?per_page=100&page=2'),
      asked.join('\n'),
    )
    assert.equal(await listGitHubVersions('ghcr.io/o/none'), [])
    await removeGitHubVersion(one(7))
    assert.is(
      await fails(removeGitHubVersion(one(8))),
      'GitHub denies it (403): the token lacks delete:packages',
    )
    process.env.GITHUB_TOKEN = 'other-canary'
    assert.is(
      await fails(listGitHubVersions('ghcr.io/o/a')),
      'GitHub denies it (401): the token lacks read:packages',
    )
    delete process.env.GITHUB_TOKEN
    delete process.env.GH_TOKEN
    assert.match(await fails(listGitHubVersions('ghcr.io/o/a')), /set GITHUB_TOKEN/)
  } finally {
    server.close()
  }
})

test("an attestation's blobs are no layers of the image", () => {
  const said = [
    'The push refers to repository [r/shop]',
    'aaaaaaaaaaaa: Layer already exists',
    'bbbbbbbbbbbb: Pushed',
    'cccccccccccc: Pushed',
    'incoming: digest: sha256:1 size: 856',
  ].join('\n')
  assert.is(
    describeUpload(said, [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`]),
    '1 of 2 layers',
  )
  assert.is(describeUpload(said, [`sha256:${'a'.repeat(64)}`]), 'nothing')
  // the engine's own store names layers by what they are when they are unpacked
  assert.is(describeUpload(said, [`sha256:${'d'.repeat(64)}`]), '2 of 3 layers')
  assert.is(describeUpload(said, []), '2 of 3 layers')
})

test("a test's registry stands on the bridge of an engine that was never restarted, too: that one names no gateway", () => {
  assert.is(addressOf({ Config: [{ Subnet: '172.17.0.0/16' }] }), '172.17.0.1')
  assert.is(
    addressOf({
      Config: [{ Subnet: 'fd00::/64' }, { Subnet: '10.9.8.128/25', Gateway: '10.9.8.254' }],
    }),
    '10.9.8.254',
  )
  assert.throws(
    () => addressOf({ Config: [{ Subnet: 'fd00::/64', Gateway: 'fd00::1' }] }),
    'no IPv4',
  )
})

test.run()
