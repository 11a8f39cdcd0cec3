// Checksums: digests of images, and hashes of what pods read.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import {
  configChecksumAnnotation,
  listWorkloadDigests,
  listWorkloadImages,
  jobChecksumAnnotation,
  withDigestsAndChecksums,
  replaceImageTags,
} from '../../scripts/lib/deploy/apply/checksums.ts'
import { object, workload } from './manifest-builders.ts'

const test = suite('checksums')
const digest = `sha256:${'a'.repeat(64)}`
const digests = new Map([['ghcr.io/kgc/api:1', digest]])

test('images are stamped with their digest; one that has a digest keeps it', () => {
  const fixed = `postgres:17@sha256:${'b'.repeat(64)}`
  const all = [workload('api'), workload('db', { image: fixed })]
  assert.equal(listWorkloadImages(withDigestsAndChecksums(all, digests)), [
    `ghcr.io/kgc/api:1@${digest}`,
    fixed,
  ])
  assert.equal(listWorkloadImages(all), ['ghcr.io/kgc/api:1', fixed], 'what came in is as it was')
})

test('images of stamped manifests are told by digest, each once', () => {
  const fixed = `postgres:17@sha256:${'b'.repeat(64)}`
  const all = [
    workload('api'),
    workload('web', { image: 'ghcr.io/kgc/api:2' }),
    workload('db', { image: fixed }),
  ]
  assert.equal(
    listWorkloadDigests(
      withDigestsAndChecksums(all, new Map([...digests, ['ghcr.io/kgc/api:2', digest]])),
    ),
    [`ghcr.io/kgc/api@${digest}`, fixed.replace(':17', '')],
  )
})

test('a tag goes to the named images only', () => {
  assert.equal(
    listWorkloadImages(
      replaceImageTags(
        [workload('api'), workload('db', { image: 'ghcr.io/kgc/postgres:17' })],
        ['ghcr.io/kgc/api'],
        'abc',
      ),
    ),
    ['ghcr.io/kgc/api:abc', 'ghcr.io/kgc/postgres:17'],
  )
})

test('the stamp changes with what a pod reads, and with nothing else', () => {
  const stamp = (all: Manifest[]) =>
    withDigestsAndChecksums(all, digests).find(({ kind }) => kind === 'Deployment')!.spec.template
      .metadata.annotations[configChecksumAnnotation]
  const sealed = (text: string, name = 'mine') =>
    object('SealedSecret', name, { spec: { encryptedData: { KEY: text } } })
  const reads = (from: object) => workload('api', from)
  const byKey = reads({
    env: [{ name: 'K', valueFrom: { secretKeyRef: { name: 'mine', key: 'KEY' } } }],
  })
  const byAll = reads({ envFrom: [{ secretRef: { name: 'mine' } }] })
  const byFile = workload('api')
  byFile.spec.template.spec.volumes = [{ name: 'v', configMap: { name: 'mine' } }]
  for (const one of [byKey, byAll]) {
    assert.is.not(stamp([one, sealed('a')]), stamp([one, sealed('b')]))
    assert.is(
      stamp([one, sealed('a'), sealed('a', 'other')]),
      stamp([one, sealed('a'), sealed('b', 'other')]),
    )
  }
  const two = (text: string) =>
    object('SealedSecret', 'mine', { spec: { encryptedData: { KEY: 'a', OTHER: text } } })
  assert.is(stamp([byKey, two('a')]), stamp([byKey, two('b')]), 'a key that it does not read')
  assert.is.not(stamp([byAll, two('a')]), stamp([byAll, two('b')]))
  const once = structuredClone(byKey)
  once.metadata.annotations = { 'kgc.hu/first-start': 'X K' }
  assert.is(stamp([once, sealed('a')]), stamp([once, sealed('b')]), 'read at a first start alone')
  const map = (x: string) => object('ConfigMap', 'mine', { data: { x } })
  assert.is.not(stamp([byFile, map('1')]), stamp([byFile, map('2')]))
})

test('a Job is stamped with a hash of itself: the same one has run, another has not', () => {
  const job = (args: string[]) =>
    withDigestsAndChecksums([workload('migrate', { args }, 'Job')], digests)[0]!.metadata
      .annotations![jobChecksumAnnotation]
  assert.is(job(['a']), job(['a']))
  assert.is.not(job(['a']), job(['b']))
})

test.run()
