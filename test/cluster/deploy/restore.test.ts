// What a failed change must leave alone when it is restored, and what must not judge the release
// that comes back.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apply, kubectl } from '../cluster.ts'
import { createTestEnvironment } from './test-environment.ts'

const test = suite('restore')
const { space, box, write, run, get, releases } = createTestEnvironment('kgc-t-putback')
const deploy = (...argv: string[]) => run(['deploy', 'test', ...argv])
const crashes = ['sh', '-c', 'exit 1']
const checks = join(box.docker, 'alpha/smoke.ts')
const map = (name: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, annotations: { 'kgc.hu/order': 'data' } },
  data: { A: '1' },
})
const storage = `${space}-grows`
process.once('exit', () =>
  kubectl(['delete', 'storageclass', storage, '--ignore-not-found'], { nothrow: true }),
)
/** A volume, and who mounts it: nothing else binds it. */
const volume = (size: string) => [
  {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'files' },
    spec: {
      storageClassName: storage,
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: size } },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'mounts' },
    spec: {
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: 'files', persistentVolumeClaim: { claimName: 'files' } }],
      containers: [
        {
          name: 'mounts',
          image: '127.0.0.1:5001/kgc-demo/redis:8',
          command: ['sleep', '3600'],
          volumeMounts: [{ name: 'files', mountPath: '/files' }],
        },
      ],
    },
  },
]
const sizeOf = () => get('pvc', 'files').spec.resources.requests.storage

test('a check that came with the bad version does not judge the one that comes back', () => {
  write()
  assert.is(deploy().code, 0)
  const before = readFileSync(checks, 'utf8')
  writeFileSync(
    checks,
    before.replace(
      'export const checks = [',
      "export const checks = [{ name: 'the new feature', run: async () => { throw new Error('not there yet') } },",
    ),
  )
  write({ command: crashes })
  const { code, stderr } = deploy()
  assert.is(code, 5, stderr)
  assert.match(stderr, 'release 1 serves again and passed the smoke test')
  // it is new here: a good version has to pass it
  write({ config: { A: '2' } })
  const fails = deploy()
  assert.is(fails.code, 5, fails.stderr)
  assert.match(fails.stderr, 'the new feature')
  writeFileSync(checks, before)
})

test('what was there before the change that failed is not removed with it, nor by the next one', () => {
  apply({ ...map('by-hand'), metadata: { ...map('by-hand').metadata, namespace: space } })
  write({ command: crashes, more: [{ ...map('by-hand'), data: { A: '2' } }, map('its-own')] })
  assert.is(deploy().code, 5)
  const names = () => get('configmaps').items.map(({ metadata }: any) => metadata.name)
  assert.ok(names().includes('by-hand'))
  assert.not.ok(names().includes('its-own'))
  write()
  const next = deploy()
  assert.is(next.code, 0, next.stderr)
  assert.ok(names().includes('by-hand'))
})

test('a volume that has grown keeps its size when what came with it goes back, by itself and by hand', () => {
  kubectl(['apply', '--filename', '-'], {
    input: JSON.stringify({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: storage },
      provisioner: 'rancher.io/local-path',
      volumeBindingMode: 'WaitForFirstConsumer',
      allowVolumeExpansion: true,
    }),
  })
  const [claim, pod] = volume('1Mi')
  write({ more: [claim!] })
  assert.is(deploy().code, 0)
  apply({ ...pod!, metadata: { ...pod!.metadata, namespace: space } })
  kubectl(
    [
      'wait',
      'pvc/files',
      '--for',
      'jsonpath={.status.phase}=Bound',
      '--timeout',
      '90s',
      '--namespace',
      space,
    ],
    { timeout: 100_000 },
  )
  write({ command: crashes, more: [volume('2Mi')[0]!] })
  const failed = deploy()
  assert.is(failed.code, 5, failed.stderr)
  assert.is(sizeOf(), '2Mi')
  write({ config: { A: '3' }, more: [volume('2Mi')[0]!] })
  assert.is(deploy().code, 0)
  const back = run(['rollback', 'test'])
  assert.is(back.code, 0, back.stderr)
  assert.is(sizeOf(), '2Mi')
})

test('going back finds a release that is not the same as the one that serves', () => {
  write({ config: { A: '4' } })
  assert.is(deploy().code, 0)
  write({ config: { A: '5' } })
  assert.is(deploy().code, 0)
  const [four, five] = releases()
    .slice(-2)
    .map(({ number }) => number)
  assert.is(run(['rollback', 'test', String(four)]).code, 0)
  assert.match(run(['rollback', 'test']).stdout, `(rollback to ${five}, `)
})

test.run()
