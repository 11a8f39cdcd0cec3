// Deploys that are cut off: a rerun ends where an undisturbed one would have.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { moveLeaseToAnotherMachine, renewLeaseAt } from './lease.ts'
import { createTestEnvironment } from './test-environment.ts'
import { waitUntil } from '../../until.ts'

const test = suite('interrupted deploy')
const { space, write, run, start, get, releases } = createTestEnvironment('kgc-t-cut')
const endings = () => releases().map(({ ending }) => ending)
const holder = () => get('lease', 'kgc-deploy').spec.holderIdentity
const slow = ['sh', '-c', 'sleep 4; exec redis-server --save ""']

async function cut(step: RegExp, signal: NodeJS.Signals) {
  const deploy = start(['deploy', 'test'])
  await waitUntil(`step ${step}`, 60, () => step.test(deploy.said()), 100)
  deploy.kill(signal)
  return { code: await deploy.code, said: deploy.said() }
}

test('killed while it watches: the lock is taken over, the rerun converges, the migration is not run twice', async () => {
  assert.is(run(['deploy', 'test']).code, 0)
  write({ command: slow, migrate: 'echo second' })
  await cut(/▶ Watch/, 'SIGKILL')
  const job = get('job', 'migrate').metadata.uid
  const { code, stderr } = run(['deploy', 'test'])
  assert.is(code, 0, stderr)
  assert.match(stderr, 'its process has ended: taken over')
  assert.is(get('job', 'migrate').metadata.uid, job)
  assert.equal(endings(), ['succeeded', 'interrupted', 'succeeded'])
})

test('a terminal that is closed while it watches: it ends with 129, the lock is released, the rerun converges', async () => {
  write({ command: slow, config: { A: 'closed' }, migrate: 'echo second' })
  const done = await cut(/▶ Watch/, 'SIGHUP')
  assert.is(done.code, 129, done.said)
  assert.is(holder(), undefined)
  assert.is(endings().at(-1), 'interrupted')
  const again = run(['deploy', 'test'])
  assert.is(again.code, 0, again.stderr)
  const [{ configMapRef }] = get('deployment', 'alpha').spec.template.spec.containers[0].envFrom
  assert.is(get('configmap', configMapRef.name).data.A, 'closed')
})

test('cut off while a migration runs: the rerun waits for it, and does not start it again', async () => {
  write({ command: slow, migrate: 'sleep 8' })
  const deploy = start(['deploy', 'test'])
  const old = get('job', 'migrate').metadata.uid
  const job: any = await waitUntil('the migration', 40, () =>
    [get('job', 'migrate')].find(
      ({ metadata, status }: any) => metadata.uid !== old && status.active,
    ),
  )
  deploy.kill('SIGTERM')
  assert.is(await deploy.code, 143)
  const { code, stderr } = run(['deploy', 'test'])
  assert.is(code, 0, stderr)
  assert.is(get('job', 'migrate').metadata.uid, job.metadata.uid)
})

test('a deploy that fails after one whose runner was lost waits for its lock, and goes back to the last good release, not to the mixture', async () => {
  const good = releases().findLast(({ ending }) => ending === 'succeeded')!.number
  write({
    command: slow,
    beta: ['redis-server', '--save', '', '--maxclients', '50'],
    more: [
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'left-over', annotations: { 'kgc.hu/order': 'data' } },
      },
    ],
  })
  await cut(/▶ Watch/, 'SIGKILL')
  write({ env: { SMOKE: 'broken' } })
  // as if a runner had been lost: nobody here can tell that its process has ended
  moveLeaseToAnotherMachine(space)
  renewLeaseAt(space, Date.now(), 9)
  const { code, stderr } = run(['deploy', 'test'])
  assert.is(code, 5, stderr)
  assert.match(
    stderr,
    /the lock is held by .* it ends at .* unless it is renewed: waiting for that[^]*it has not been renewed for \d s[^]*not been renewed for 9 s: taken over/,
  )
  assert.match(stderr, `release ${good} serves again`)
  assert.equal(get('statefulset', 'beta').spec.template.spec.containers[0].command, [
    'redis-server',
    '--save',
    '',
  ])
  assert.not.ok(get('configmaps').items.some(({ metadata }: any) => metadata.name === 'left-over'))
})

test.run()
