// A key that is rotated, on a real cluster with a real controller: no pod restarts before it is
// open, and what cannot be opened goes back. Passwords of a database and a Redis that serve, too: nobody is refused.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { kubectl, sealSecret } from '../cluster.ts'
import { createServingKgc } from './serving-kgc.ts'
import { createTestEnvironment } from './test-environment.ts'

type Json = Record<string, any>
const test = suite('sealed')
const environment = createTestEnvironment('kgc-t-sealed')
const { space, write, run, get } = environment

/** For another namespace it opens nowhere else. */
function sealed(value: string, namespace = space): Json {
  const { apiVersion, kind, spec } = sealSecret(namespace, 'shop-secrets', { PASSWORD: value })
  const metadata = {
    name: 'shop-secrets',
    namespace: space,
    annotations: { 'kgc.hu/order': 'data' },
  }
  return {
    apiVersion,
    kind,
    metadata,
    spec: {
      encryptedData: spec.encryptedData,
      template: { metadata: { name: 'shop-secrets', namespace: space } },
    },
  }
}
const reader: Json = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'reader', annotations: { 'kgc.hu/order': 'application' } },
  spec: {
    selector: { matchLabels: { app: 'reader' } },
    template: {
      metadata: { labels: { app: 'reader' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'main',
            image: '127.0.0.1:5001/kgc-demo/redis:8',
            command: ['sleep', '3600'],
            env: [
              {
                name: 'PASSWORD',
                valueFrom: { secretKeyRef: { name: 'shop-secrets', key: 'PASSWORD' } },
              },
            ],
          },
        ],
      },
    },
  },
}
function deploy(one: Json) {
  write({ more: [one, reader] })
  return run(['deploy', 'test'])
}
const pods = () =>
  get('pods', '--selector', 'app=reader').items.filter(
    ({ metadata }: Json) => !metadata.deletionTimestamp,
  ) as Json[]
const reads = () =>
  kubectl([
    'exec',
    '--namespace',
    space,
    pods()[0]!.metadata.name,
    '--',
    'printenv',
    'PASSWORD',
  ]).trim()
let first = ''

test('the pods of a first deploy read what was sealed', () => {
  const { code, stderr } = deploy(sealed('one'))
  assert.is(code, 0, stderr)
  assert.is(reads(), 'one')
  first = pods()[0]!.metadata.uid
})

test('what the controller cannot open goes back, and no pod has started anew', () => {
  const { code, stderr, ms } = deploy(sealed('two', 'elsewhere'))
  assert.is(code, 5, stderr)
  assert.match(stderr, /WHY {3}SealedSecret shop-secrets: no key could decrypt secret/)
  assert.match(stderr, 'release 1 serves again and passed the smoke test')
  assert.equal(
    pods().map(({ metadata }) => metadata.uid),
    [first],
  )
  assert.is(reads(), 'one')
  console.error(`  it took ${(ms / 1000).toFixed(1)} s`)
})

test('a rotated key is what the pods read that start anew', () => {
  const { code, stderr, ms } = deploy(sealed('three'))
  assert.is(code, 0, stderr)
  assert.is(reads(), 'three')
  assert.not.equal(
    pods().map(({ metadata }) => metadata.uid),
    [first],
  )
  console.error(`  it took ${(ms / 1000).toFixed(1)} s`)
})

const kgc = createServingKgc(environment, [sealed('three'), reader])
const old = kgc.values()
const uidOf = (pod: string) => get('pod', pod).metadata.uid as string

test('KGC serves, and is asked from now on', () => kgc.begin())

test('rotated passwords of a release that fails go back, and nobody was refused', async () => {
  kgc.rotate()
  const { code, stderr, ms } = kgc.deploy('it does not work')
  assert.is(code, 5, stderr)
  assert.match(stderr, /release \d serves again and passed the smoke test/)
  assert.equal(
    [kgc.letIn(old), kgc.letIn(kgc.values())],
    [
      [true, true],
      [false, false],
    ],
  )
  await kgc.nothingLost()
  console.error(`  it took ${(ms / 1000).toFixed(1)} s`)
})

test('a rotation restarts what reads a password, not the database, and refuses nobody but the old ones afterwards', async () => {
  const database = uidOf('kgc-db-0')
  const { code, stderr, ms } = kgc.deploy()
  assert.is(code, 0, stderr)
  assert.match(stderr, /the old login kgc_\w is refused from now on/)
  const away = (service: string) => new RegExp(`^ +${service} +(\\S+)`, 'm').exec(stderr)?.[1]
  assert.is(away('kgc-api'), '-', stderr)
  assert.is(away('kgc-db'), '-')
  assert.match(away('kgc-redis')!, /^\d+\.\d$/)
  assert.equal(
    [kgc.letIn(old), kgc.letIn(kgc.values())],
    [
      [false, false],
      [true, true],
    ],
  )
  assert.is(uidOf('kgc-db-0'), database)
  await kgc.nothingLost()
  console.error(
    `  it took ${(ms / 1000).toFixed(1)} s; ${stderr.slice(stderr.indexOf('  service')).split('\n').slice(0, 5).join('\n')}`,
  )
  console.error(`  ${kgc.counts()}`)
})

test.run()
