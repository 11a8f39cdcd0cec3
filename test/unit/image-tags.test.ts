import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { findUnpromotedImages } from '../../scripts/lib/deploy/preflight/promotion.ts'
import { parseEnvironment } from '../../scripts/lib/kubernetes/environment.ts'
import { PreflightProblems } from '../../scripts/lib/deploy/preflight/problems.ts'
import type { StoredRelease } from '../../scripts/lib/kubernetes/releases.ts'
import { listWorkloadImages } from '../../scripts/lib/deploy/apply/checksums.ts'
import { resolveImageDigests, applyImageTags } from '../../scripts/lib/deploy/preflight/images.ts'
import { parseCommitImages, listCommitImages } from '../../scripts/lib/images/commit-images.ts'

const test = suite('image tags')
const buildFile = `services:
  api: { image: "\${REGISTRY:-ghcr.io/kgc}/api:\${API_REF:-unset}", build: . }
  base: { image: "\${REGISTRY:-ghcr.io/kgc}/base:1.2", build: . }
  other: { image: "\${REGISTRY:-ghcr.io/kgc}/other:\${OTHER:-unset}", build: . }
`
const example = (commit: string) =>
  new Map([['shop/.env.example', `OTHER=x\n#@ pinned format=hex\nAPI_REF=${commit}\n`]])
const environment = parseEnvironment('staging', 'images: ghcr.io/kgc', 'namespace: kgc-staging')
const workload = (image: string): Manifest => ({
  kind: 'Deployment',
  metadata: { name: 'one' },
  spec: { template: { spec: { containers: [{ image }] } } },
})
const old = `ghcr.io/kgc/api:old@sha256:${'1'.repeat(64)}`
const served = (image: string) => ({ manifests: [workload(image)] }) as StoredRelease

/** The image that a deploy takes in the place of `image`, or why it takes none. */
function take(
  image: string,
  { commit = '', tag, last }: { commit?: string; tag?: string; last?: StoredRelease } = {},
) {
  const refusals = new PreflightProblems()
  const all = applyImageTags(
    environment,
    [workload(image)],
    parseCommitImages(buildFile, example(commit)),
    tag,
    last,
    refusals,
  )
  return refusals.messages[0] ?? listWorkloadImages(all)[0]
}

test('an image is built of a commit when its tag is a key that an example pins', () => {
  assert.equal(parseCommitImages(buildFile, example('abc')), [
    { name: 'api', key: 'API_REF', file: 'shop/.env.example', commit: 'abc' },
  ])
})

test('this repository has such images, and all are pinned in one place', () => {
  assert.is.not(listCommitImages().length, 0)
  assert.is(new Set(listCommitImages().map(({ file, key }) => `${file} ${key}`)).size, 1)
})

test('--tag wins over what is pinned and over what the overlay says, for these images alone', () => {
  assert.is(take('ghcr.io/kgc/api:unset', { commit: 'abc', tag: 'def' }), 'ghcr.io/kgc/api:def')
  assert.is(take('ghcr.io/kgc/api:old', { tag: 'def' }), 'ghcr.io/kgc/api:def')
  assert.is(take('ghcr.io/kgc/base:1.2', { tag: 'def' }), 'ghcr.io/kgc/base:1.2')
})

test('without it the pinned commit is taken, whatever serves', () => {
  const last = served(old)
  assert.is(take('ghcr.io/kgc/api:unset', { commit: 'abc', last }), 'ghcr.io/kgc/api:abc')
  assert.is(take('ghcr.io/kgc/api:unset', { commit: 'abc' }), 'ghcr.io/kgc/api:abc')
})

test('an overlay that names a tag itself means it', () => {
  assert.is(take('ghcr.io/kgc/api:demo', { commit: 'abc' }), 'ghcr.io/kgc/api:demo')
})

test('when none is pinned an image stays as it serves', () => {
  assert.is(take('ghcr.io/kgc/api:unset', { last: served(old) }), old)
})

test('when nothing serves either it is refused, and both ways out are named', () => {
  const why = take('ghcr.io/kgc/api:unset', { last: served('ghcr.io/kgc/base:1.2') })
  assert.is(
    why,
    'no release records which commit of ghcr.io/kgc/api serves: give --tag SHA, or API_REF in shop/.env.example',
  )
})

test('--tag is refused where the environment does not say where its images are', () => {
  const refusals = new PreflightProblems()
  const { images: _, ...nowhere } = environment
  applyImageTags(
    nowhere,
    [workload('ghcr.io/kgc/api:1')],
    parseCommitImages(buildFile, example('')),
    'def',
    undefined,
    refusals,
  )
  assert.equal(refusals.messages, [
    '--tag def applies to no image: name their registry (images: in infra/k8s/overlays/staging/environment.yaml), or leave --tag out',
  ])
})

test('what is to be replaced is looked for, so that it can come back, and is not part of what is put in place', async () => {
  const [before, after] = ['1', '2'].map(letter => `sha256:${letter.repeat(64)}`) as [
    string,
    string,
  ]
  const asked: string[] = []
  const server = createServer(({ url = '' }, answer) => {
    asked.push(url.split('/').at(-1)!)
    answer.writeHead(url.endsWith('/gone') ? 404 : 200, { 'docker-content-digest': after }).end()
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  server.unref()
  const api = `127.0.0.1:${(server.address() as AddressInfo).port}/api`
  process.env.DOCKER_CONFIG = '/nonexistent'
  const missing: string[] = []
  const find = (last: StoredRelease) =>
    resolveImageDigests([workload(`${api}:two`)], last, new PreflightProblems(), words =>
      missing.push(words),
    )
  const digests = await find(served(`${api}:one@${before}`))
  assert.equal(asked.sort(), [before, 'two'].sort())
  assert.equal([...digests], [[`${api}:two`, after]])
  // the second version of production was refused: what it served was not what staging had
  assert.equal(
    findUnpromotedImages(
      environment,
      { by: 'kgc-stack', verb: 'deploy', release: 2, images: { [`${api}:two`]: after } },
      digests,
    ),
    [],
  )
  await find(served(`${api}:gone`)).finally(() => server.close())
  assert.match(missing.join(), /the image of release .*:gone: it is not in/)
})

test('a registry in trouble for a moment refuses no deploy; one that stays so does, within 10 s', async () => {
  const digest = `sha256:${'2'.repeat(64)}`
  const ask = async (answers: (n: number) => [number, Record<string, string>]) => {
    let asked = 0
    const server = createServer((_, answer) => void answer.writeHead(...answers(asked++)).end())
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const image = `127.0.0.1:${(server.address() as AddressInfo).port}/api:1`
    const [refusals, start] = [new PreflightProblems(), Date.now()]
    const digests = await resolveImageDigests(
      [workload(image)],
      undefined,
      refusals,
      () => {},
    ).finally(() => server.close())
    assert.ok(Date.now() - start < 10_000)
    return { digest: digests.get(image), refusals: refusals.messages, asked }
  }
  process.env.DOCKER_CONFIG = '/nonexistent'
  assert.equal(await ask(n => (n ? [200, { 'docker-content-digest': digest }] : [503, {}])), {
    digest,
    refusals: [],
    asked: 2,
  })
  const down = await ask(() => [500, {}])
  assert.is(down.asked, 3)
  assert.match(down.refusals[0]!, 'answers 500')
  assert.is((await ask(() => [429, { 'retry-after': '60' }])).asked, 1)
})

test.run()
