// A release that an older version has recorded is one that today's code reads and goes back to.
// test/fixtures/releases holds ConfigMaps as the versions of those commits wrote them.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Response } from 'node-fetch'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { DeployRequest } from '../../scripts/lib/deploy/change.ts'
import { deploy } from '../../scripts/lib/deploy/deploy.ts'
import { requireCompatibleSchema } from '../../scripts/lib/deploy/verify/schema-compatibility.ts'
import { webClient } from '../../scripts/lib/http.ts'
import { resourceId, type Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import {
  createReleaseConfigMap,
  fetchReleases,
  findRelease,
  unpackManifests,
  type StoredRelease,
} from '../../scripts/lib/kubernetes/releases.ts'
import { repository } from '../sandbox.ts'
import { environment, target, withFakeKubectl } from './fake-kubectl.ts'

// in CI a deploy wants a pushed commit; a copy of the repository has none
delete process.env.CI
const test = suite('rollback')
const readFixture = (commit: string): Manifest =>
  JSON.parse(readFileSync(join(repository, `test/fixtures/releases/${commit}.json`), 'utf8'))
const recorded = ['3c70814', 'dc8f774'].map(readFixture)

/** Debian's zlib packs otherwise than Node's own. */
const unpacked = ({ binaryData, ...rest }: Manifest) => ({
  ...rest,
  manifests: unpackManifests(binaryData.manifests),
})

/** What serves now: another greeting, and an object that the old releases do not have. */
const now: StoredRelease = {
  number: 8,
  ending: 'succeeded',
  what: 'deploy',
  who: 'anna@desk',
  started: '2026-11-29T06:00:00Z',
  images: {},
  manifests: [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'notes' },
      data: { GREETING: 'szia' },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'later' }, data: {} },
  ],
}
const secret = { kind: 'Secret', metadata: { name: 'notes' }, data: { KEY: 'eA==' } }
const volume = {
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'notes' },
  spec: { resources: { requests: { storage: '5Gi' } } },
}

const resourceNames = {
  ConfigMap: 'configmaps',
  Deployment: 'deployments',
  Job: 'jobs',
  PersistentVolumeClaim: 'persistentvolumeclaims',
  Secret: 'secrets',
  Service: 'services',
}

/** Does `work` with a kubectl that has these objects, and registries that have every image. */
async function withCluster<T>(objects: { kind: string }[], work: () => Promise<T>) {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-rollback-'))
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const resources = Object.entries(resourceNames).map(([kind, name]) => ({
    name,
    kind,
    namespaced: true,
  }))
  const group = write('group', JSON.stringify({ resources }))
  for (const [kind, name] of Object.entries(resourceNames))
    write(name, JSON.stringify({ items: objects.filter(one => one.kind === kind) }))
  const { fetch } = webClient
  webClient.fetch = async () => new Response(null, { status: 200 })
  try {
    return await withFakeKubectl(
      `case "$*" in
        *" version "*) echo '{"clientVersion":{"gitVersion":"v1.33.1"}}' ;;
        *" get /version "*) echo '{"gitVersion":"v1.33.1"}' ;;
        *" get /api"*) cat ${group} ;;
        *" get "*)
          set -- $(echo "$*" | sed 's/.* get //')
          cat ${folder}/$1 2>/dev/null || echo '{"items":[]}' ;;
        *" apply "*--dry-run=server*) ;;
        *selfsubjectaccessreviews*) echo '{"status":{"allowed":true}}' ;;
        *) exit 9 ;;
      esac`,
      work,
    )
  } finally {
    webClient.fetch = fetch
    rmSync(folder, { recursive: true })
  }
}

test('what an older version recorded is read with all that it says', async () => {
  const { value, error } = await withCluster(recorded, () => fetchReleases(environment))
  assert.is(error, undefined)
  const [newer, first] = value as [StoredRelease, StoredRelease]
  assert.equal(
    [newer.number, newer.ending, newer.what, newer.heads, newer.checks, newer.failing],
    [
      7,
      'succeeded',
      'deploy',
      { notes: '12 migrations, 1a2b3c4d' },
      ['notes answers', 'notes logs in'],
      ['notes logs in'],
    ],
  )
  assert.equal(newer.manifests.map(resourceId), [
    'ConfigMap stack',
    'ConfigMap notes',
    'PersistentVolumeClaim notes',
    'Job notes-migrate',
    'Service notes',
    'Deployment notes',
  ])
  assert.is(newer.manifests[1]!.data.GREETING, 'jó reggelt')
  // the first format had neither checks nor what was created
  assert.equal(
    [first.number, first.manifests.map(resourceId)],
    [2, ['ConfigMap stack', 'ConfigMap notes', 'Deployment notes']],
  )
  // written again by today's code it is the same
  for (const [index, release] of [newer, first].entries())
    assert.equal(unpacked(createReleaseConfigMap(release)), unpacked(recorded[index]!))
})

const rollBackTo = (number: string, accept: boolean) => {
  const chooseRelease = (all: StoredRelease[]) => findRelease(all, number)
  const request: DeployRequest = {
    environment,
    target,
    verb: 'rollback',
    source: { release: number },
    chooseRelease,
    prune: false,
    yes: true,
  }
  const check = {
    name: 'Schema',
    run: (facts: Parameters<typeof requireCompatibleSchema>[1]) =>
      requireCompatibleSchema({ environment, target, chooseRelease }, facts, accept),
  }
  const releases = [...recorded, createReleaseConfigMap(now)]
  const objects = [...releases, ...now.manifests, secret, volume]
  return withCluster(objects, () => deploy(request, { dryRun: true, check }))
}

for (const number of ['7', '2'])
  test(`a rollback to release ${number} of an older version is planned: its objects come back, later ones go, no migration runs`, async () => {
    const { error, said, calls } = await rollBackTo(number, true)
    assert.is(error, undefined, `${error?.stack}\n${calls.join('\n')}`)
    assert.match(said, 'changed: ConfigMap notes')
    assert.match(said, 'removed: ConfigMap later')
    assert.not.match(said, 'runs:')
    assert.not.match(said, 'canary-secret-value')
  })

test('the schema versions of an older record are compared with those of now', async () => {
  const { error } = await rollBackTo('7', false)
  assert.is(error?.code, 3)
  assert.match(error!.why, 'notes: 12 migrations, 1a2b3c4d then, it is not there now')
})

test.run()
