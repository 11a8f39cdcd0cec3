// A deploy on a real cluster, with the deployer's rights: what goes well, what is refused, what is
// restored.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createTestEnvironment } from './test-environment.ts'

const test = suite('deploy')
const { box, env, space, write, run, get, releases, generations } =
  createTestEnvironment('kgc-t-deploy')
const deploy = (...argv: string[]) => run(['deploy', 'test', ...argv])
const alpha = () =>
  get('pods', '--selector', 'app=alpha').items.filter(
    ({ metadata }: any) => !metadata.deletionTimestamp,
  )

test('a dry run says what it would do, and touches nothing', () => {
  const before = generations()
  const { code, stderr } = deploy('--dry-run')
  assert.is(code, 0, stderr)
  assert.match(stderr, /created: .*Deployment alpha/)
  assert.match(stderr, 'runs: Job migrate')
  assert.equal(generations(), before)
  assert.equal(releases(), [])
})

test('a first deploy puts everything in place, in order, with images by digest, and records it', () => {
  const { code, stderr, stdout } = deploy()
  assert.is(code, 0, stderr)
  assert.match(stdout, 'test serves release 1')
  assert.match(stderr, /data: .*migrate: .*application: .*/s)
  assert.match(alpha()[0].spec.containers[0].image, /redis:8@sha256:/)
  assert.equal(
    releases().map(({ number, ending }) => [number, ending]),
    [[1, 'succeeded']],
  )
  assert.is(get('lease', 'kgc-deploy').spec.holderIdentity, undefined, 'the lock is released')
})

test('a second deploy has nothing to do, and changes nothing', () => {
  const before = generations()
  const { code, stderr, stdout } = deploy('--json')
  assert.is(code, 0, stderr)
  const events = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.equal(events.at(-1), { ...events.at(-1), event: 'result', release: 1, changed: false })
  assert.equal(generations(), before)
})

test('a kubeconfig that logs in by a program is enough, for commands in pods too', () => {
  const config = JSON.parse(readFileSync(env.KUBECONFIG!, 'utf8'))
  const [{ name, user }] = config.users
  const login = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential' }
  const [program, file, calls] = ['login', 'kubeconfig-login', 'logins'].map(one =>
    join(box.root, one),
  ) as [string, string, string]
  writeFileSync(
    program,
    `#!/bin/sh\necho >>${calls}\necho '${JSON.stringify({ ...login, status: { token: user.token } })}'\n`,
    { mode: 0o700 },
  )
  const exec = { apiVersion: login.apiVersion, command: program, interactiveMode: 'Never' }
  writeFileSync(file, JSON.stringify({ ...config, users: [{ name, user: { exec } }] }))
  const { code, stderr, stdout } = run(['deploy', 'test'], { KUBECONFIG: file })
  assert.is(code, 0, stderr)
  assert.match(stdout, 'Nothing to do')
  assert.is(readFileSync(calls, 'utf8').length, 1, 'it is asked once')
})

test('a changed setting rolls the pods that read it, and no migration runs again', () => {
  const [beta] = get('pods', '--selector', 'app=beta').items
  const job = get('job', 'migrate').metadata.uid
  write({ config: { A: '2' } })
  const { code, stderr } = deploy()
  assert.is(code, 0, stderr)
  assert.match(stderr, 'changed: Deployment alpha')
  assert.is(get('pods', '--selector', 'app=beta').items[0].metadata.uid, beta.metadata.uid)
  assert.is(get('job', 'migrate').metadata.uid, job)
})

test('a StatefulSet that crashes is restored, though its pod is stuck', () => {
  write({ config: { A: '2' }, beta: ['sh', '-c', 'echo here is why; exit 3'] })
  const { code, stderr } = deploy()
  assert.is(code, 5, stderr)
  assert.match(stderr, 'here is why')
  assert.match(stderr, 'NOW   release 2 serves again')
})

test('a failed migration stops everything: its log is shown, applications are untouched', () => {
  const before = generations()
  write({ config: { A: '3' }, migrate: 'echo column does not exist; exit 1' })
  const { code, stderr } = deploy()
  assert.is(code, 5, stderr)
  assert.match(stderr, 'column does not exist')
  const after = generations()
  for (const one of ['Deployment alpha', 'StatefulSet beta']) assert.is(after[one], before[one])
})

test('everything that stands in the way is said at once, and nothing is touched', () => {
  const before = generations()
  const meta = (name: string) => ({ name, annotations: { 'kgc.hu/order': 'application' } })
  write({
    image: '127.0.0.1:5001/kgc-demo/redis:nowhere',
    more: [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: meta('blind'),
        spec: { selector: { app: 'gamma' }, ports: [{ port: 1 }] },
      },
      {
        apiVersion: 'bitnami.com/v1alpha1',
        kind: 'SealedSecret',
        metadata: { ...meta('keys'), namespace: space },
        spec: { encryptedData: { KEY: '' } },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: meta('delta'),
        spec: {
          selector: { matchLabels: { app: 'delta' } },
          template: {
            metadata: { labels: { app: 'delta' } },
            spec: {
              containers: [
                {
                  name: 'delta',
                  image: '127.0.0.1:5001/kgc-demo/redis:8',
                  env: [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'KEY' } } }],
                },
              ],
            },
          },
        },
      },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'Ingress',
        metadata: meta('wrong'),
        spec: { rules: [{ host: 'Not A Host', http: { paths: [] } }] },
      },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta('forbidden') },
    ],
  })
  const { code, stderr } = deploy()
  assert.is(code, 3, stderr)
  for (const words of [
    'redis:nowhere: it is not in 127.0.0.1:5001',
    'Service blind selects no pod',
    'KEY of keys is missing or empty',
    'Ingress wrong',
    'it may not: ',
    'create serviceaccounts',
    'nothing was touched',
  ])
    assert.match(stderr, words)
  assert.equal(generations(), before)
})

test('what a release has not any more is removed; more than three objects want --prune', () => {
  const extra = (n: number) =>
    Array.from({ length: n }, (_, i) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `extra-${i}`, annotations: { 'kgc.hu/order': 'data' } },
    }))
  const there = () =>
    get('configmaps')
      .items.map(({ metadata }: any) => metadata.name)
      .filter((name: string) => name.startsWith('extra')).length
  write({ config: { A: '2' }, more: extra(5) })
  assert.is(deploy().code, 0)
  write({ config: { A: '2' }, more: extra(1) })
  const refused = deploy()
  assert.is(refused.code, 3)
  assert.match(refused.stderr, '4 objects would be removed: ')
  assert.is(there(), 5)
  write({ config: { A: '2' }, more: extra(2) })
  const { code, stderr } = deploy()
  assert.is(code, 0, stderr)
  assert.match(stderr, 'removed: ConfigMap extra-2')
  assert.is(there(), 2)
})

test('while another holds the lock a deploy is refused and names him', () => {
  assert.is(deploy('--lock', '--reason', 'audit').code, 0)
  const { code, stderr } = deploy()
  assert.is(code, 4, stderr)
  assert.match(stderr, /held by hand by .*: audit/)
  assert.is(deploy('--unlock', '--reason', 'done').code, 0)
})

test('a namespace that is not there is said in words', () => {
  write({ namespace: 'kgc-t-nowhere' })
  const { code, stderr } = run(['deploy', 'test'], { KUBECONFIG: process.env.KGC_TEST_KUBECONFIG! })
  assert.is(code, 3, stderr)
  assert.match(stderr, 'the namespace kgc-t-nowhere is not there; an administrator creates it')
})

test.run()
