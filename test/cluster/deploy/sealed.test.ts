// A key that is rotated, on a real cluster with a real controller: no pod starts anew before it is
// open, and what cannot be opened goes back.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { kubectl, sealSecret } from '../cluster.ts'
import { createTestEnvironment } from './test-environment.ts'

type Json = Record<string, any>
const test = suite('sealed')
const { space, write, run, get } = createTestEnvironment('kgc-t-sealed')

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

test.run()
