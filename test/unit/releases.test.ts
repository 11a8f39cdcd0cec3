import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { diffManifests, formatReleaseTable } from '../../scripts/lib/deploy/release-list.ts'
import {
  isKnownFailure,
  isPreexistingFailure,
  remainingFailures,
} from '../../scripts/lib/deploy/verify/verify.ts'
import {
  createReleaseConfigMap,
  findRelease,
  hasSameManifests,
  listReleaseObjects,
  packManifests,
  findCurrentRelease,
  findExpiredReleases,
  unpackManifests,
  type ReleaseEnding,
  type StoredRelease,
} from '../../scripts/lib/kubernetes/releases.ts'

const test = suite('releases')
const object = (kind: string, name: string, more: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind,
  metadata: { name },
  ...more,
})
const release = (number: number, ending: ReleaseEnding = 'succeeded'): StoredRelease => ({
  number,
  ending,
  what: 'deploy',
  who: 'anna@desk',
  commit: 'abcdef0123456789',
  started: '2026-11-25T12:00:00Z',
  images: {},
  manifests: [object('ConfigMap', 'a')],
})
const history = (...endings: ReleaseEnding[]) =>
  endings.map((ending, index) => release(endings.length - index, ending))
const numbers = (list: StoredRelease[]) => list.map(({ number }) => number)

test('what is stored comes back as it was, without its Secrets; sealed ones stay', () => {
  const all = [
    object('ConfigMap', 'a', { data: { text: 'árvíztűrő' } }),
    object('Secret', 'b', { stringData: { KEY: 'canary-secret' } }),
    object('SealedSecret', 'c'),
  ]
  assert.equal(unpackManifests(packManifests(all)), [all[0], all[2]])
  const map = createReleaseConfigMap({ ...release(3), manifests: all })
  assert.is(map.metadata.name, 'kgc-release-3')
  assert.not.match(JSON.stringify(map), 'canary')
  assert.is(JSON.parse(map.data.release).manifests, undefined)
})

test('helm/helm#6711, #7126: as much as a ConfigMap holds is taken, decoded as the API server counts it; more is refused', () => {
  const noise = (bytes: number) =>
    object('ConfigMap', 'a', { binaryData: { x: randomBytes(bytes).toString('base64') } })
  assert.ok(packManifests([noise(900_000)]).length > 1_000_000)
  assert.throws(() => packManifests([noise(1024 * 1024)]), /the limit is 1015808/)
})

test('what serves is the last that succeeded, whatever came after', () => {
  assert.is(
    findCurrentRelease(history('rolled back', 'applying', 'succeeded', 'succeeded'))?.number,
    2,
  )
  assert.is(findCurrentRelease(history('broken')), undefined)
})

test('ten are kept', () => {
  assert.equal(findExpiredReleases(history(...Array<ReleaseEnding>(10).fill('succeeded'))), [])
  assert.equal(
    numbers(findExpiredReleases(history(...Array<ReleaseEnding>(12).fill('succeeded')))),
    [2, 1],
  )
})

test('what serves and what served before are kept behind any number of failures', () => {
  const all = history(
    ...Array<ReleaseEnding>(11).fill('rolled back'),
    'succeeded',
    'rolled back',
    'succeeded',
    'succeeded',
  )
  assert.equal(numbers(findExpiredReleases(all)), [5, 3, 1])
})

test('a release is found by its number or by its ConfigMap; one that is not there is refused with those that are', () => {
  const all = history('succeeded', 'succeeded')
  assert.is(findRelease(all, '1').number, 1)
  assert.is(findRelease(all, 'kgc-release-2').number, 2)
  assert.throws(
    () => findRelease(all, '9'),
    (error: { code: number; next: string }) => error.code === 2 && error.next === 'one of: 2, 1',
  )
})

test('a check says nothing against a release that never passed it or was never asked it', () => {
  const old = { ...release(3), checks: ['a', 'b'], failing: ['b'] }
  assert.equal(
    ['a', 'b', 'younger'].map(check => isKnownFailure(old, check)),
    [false, true, true],
  )
  assert.is(isKnownFailure(release(2), 'younger'), false)
})

test('a check that fails is no news when it failed as it was last asked, whoever has deployed since without its login', () => {
  const asked = (
    number: number,
    checks: string[],
    failing: string[] = [],
    ending: ReleaseEnding = 'succeeded',
  ) => ({ ...release(number, ending), checks, failing })
  const old = (...all: ReturnType<typeof asked>[]) => isPreexistingFailure(all, 'login')
  assert.is(old(), true, 'nothing served')
  assert.is(old(asked(2, ['login'], ['login'])), true)
  assert.is(old(asked(3, ['page']), asked(2, ['login'], ['login'])), true)
  assert.is(old(asked(3, ['page']), asked(2, ['login'])), false)
  assert.is(old(asked(3, ['login'], ['login'], 'rolled back'), asked(2, ['login'])), false)
  assert.is(old(asked(3, ['page'])), false, 'never asked')
  assert.is(
    isPreexistingFailure([{ ...release(3, 'succeeded'), failing: ['login'] }], 'login'),
    true,
    'from a time without the list',
  )
  const failing = (checks: string[], now: string[]) =>
    remainingFailures(asked(3, ['login', 'page'], ['login', 'page']), checks, now).join()
  assert.equal(
    [failing(['login', 'page'], []), failing(['page'], []), failing(['login', 'page'], ['page'])],
    ['', 'login', 'page'],
  )
})

test('what a release that never served found there was not its own', () => {
  const manifests = ['a', 'b'].map(name => object('ConfigMap', name))
  const titles = (ending: ReleaseEnding, created?: string[]) =>
    listReleaseObjects({ ...release(1, ending), manifests, ...(created ? { created } : {}) }).map(
      ({ metadata }) => metadata.name,
    )
  assert.equal(titles('broken', ['ConfigMap b']), ['b'])
  assert.equal(titles('succeeded', ['ConfigMap b']), ['a', 'b'])
  assert.equal(titles('broken'), ['a', 'b'])
})

test('releases are alike whatever their Secrets say', () => {
  const one = {
    ...release(2),
    manifests: [object('ConfigMap', 'a'), object('Secret', 's', { stringData: { A: '1' } })],
  }
  assert.is(hasSameManifests(one, release(1)), true)
  assert.is(hasSameManifests(one, { ...one, manifests: [object('ConfigMap', 'b')] }), false)
})

test('the list marks what serves', () => {
  const lines = formatReleaseTable(history('rolled back', 'succeeded')).split('\n')
  assert.match(lines[1]!, /^ +2 .*rolled back +2026-11-25 12:00 +anna@desk +abcdef012345/)
  assert.match(lines[2]!, /^▸ +1 .*succeeded/)
})

test('two releases are compared object by object', async () => {
  const text = await diffManifests(
    [object('ConfigMap', 'a', { data: { x: '1' } }), object('Service', 'gone')],
    [object('ConfigMap', 'a', { data: { x: '2' } })],
  )
  assert.match(text, '--- a/ConfigMap.a.yaml\n+++ b/ConfigMap.a.yaml')
  assert.match(text, /-  x: "1"\n\+  x: "2"/)
  assert.match(text, '-kind: Service')
  assert.is(await diffManifests([object('ConfigMap', 'a')], [object('ConfigMap', 'a')]), '')
})

test('two releases of which diff can say nothing are not the same', async () => {
  const box = mkdtempSync(join(tmpdir(), 'kgc-diff-'))
  writeFileSync(
    join(box, 'diff'),
    '#!/bin/sh\necho "diff: a: No space left on device" >&2\nexit 2\n',
    { mode: 0o755 },
  )
  const path = process.env.PATH
  process.env.PATH = `${box}${delimiter}${path}`
  try {
    await diffManifests([object('ConfigMap', 'a')], [object('ConfigMap', 'b')])
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, 'Compare the releases: diff: a: No space left on device')
  } finally {
    process.env.PATH = path
    rmSync(box, { recursive: true })
  }
})

test.run()
