import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { placeOf, type Manifest } from '../../scripts/lib/cluster/cluster.ts'
import { Refusals } from '../../scripts/lib/deploy/refusals.ts'
import type { Stored } from '../../scripts/lib/deploy/release.ts'
import { imagesOf } from '../../scripts/lib/deploy/stamp.ts'
import { builtOf, commitImages, tagged } from '../../scripts/lib/deploy/versions.ts'

const test = suite('versions')
const buildFile = `services:
  api: { image: "\${REGISTRY:-ghcr.io/kgc}/api:\${API_REF:-unset}", build: . }
  base: { image: "\${REGISTRY:-ghcr.io/kgc}/base:1.2", build: . }
  other: { image: "\${REGISTRY:-ghcr.io/kgc}/other:\${OTHER:-unset}", build: . }
`
const example = (commit: string) => new Map([['shop/.env.example', `OTHER=x\n#@ pinned format=hex\nAPI_REF=${commit}\n`]])
const place = { ...placeOf('staging'), images: 'ghcr.io/kgc' }
const workload = (image: string): Manifest => ({ kind: 'Deployment', metadata: { name: 'one' }, spec: { template: { spec: { containers: [{ image }] } } } })
const old = `ghcr.io/kgc/api:old@sha256:${'1'.repeat(64)}`
const served = (image: string) => ({ manifests: [workload(image)] }) as Stored

/** The image that a deploy takes in the place of `image`, or why it takes none. */
function take(image: string, { commit = '', tag, last }: { commit?: string; tag?: string; last?: Stored } = {}) {
  const refusals = new Refusals()
  const all = tagged(place, [workload(image)], builtOf(buildFile, example(commit)), tag, last, refusals)
  return refusals.list[0] ?? imagesOf(all)[0]
}

test('an image is built of a commit when its tag is a key that an example pins', () => {
  assert.equal(builtOf(buildFile, example('abc')), [{ name: 'api', key: 'API_REF', file: 'shop/.env.example', commit: 'abc' }])
})

test('this repository has such images, and all are pinned in one place', () => {
  assert.is.not(commitImages().length, 0)
  assert.is(new Set(commitImages().map(({ file, key }) => `${file} ${key}`)).size, 1)
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
  assert.is(why, 'no release says which commit of ghcr.io/kgc/api serves: --tag SHA, or API_REF in shop/.env.example')
})

test.run()
