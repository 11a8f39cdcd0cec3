import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startStopwatch } from '../../scripts/lib/deploy/lock/stopwatch.ts'
import type { Lease } from '../../scripts/lib/kubernetes/objects.ts'
import { isProcessAlive } from '../../scripts/lib/deploy/actor.ts'
import { describeLease, leaseState } from '../../scripts/lib/deploy/lock/lease.ts'
import { acquireLock, leaseSeconds } from '../../scripts/lib/deploy/lock/lock.ts'
import { waitForStaleLock } from '../../scripts/lib/deploy/lock/stale-lock.ts'
import { waitUntil } from '../until.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('lock')
const now = Date.parse('2026-11-25T12:00:00Z')
const at = (seconds: number) => new Date(now + seconds * 1000).toISOString().replace('Z', '000Z')
const nobodyGone = () => false

const lease = (spec: object = {}, annotations: Record<string, string> = {}): Lease => ({
  kind: 'Lease',
  metadata: {
    name: 'kgc-deploy',
    annotations: {
      'kgc.hu/what': 'deploy',
      'kgc.hu/phase': 'watch',
      'kgc.hu/machine': 'a',
      'kgc.hu/pid': '7',
      ...annotations,
    },
  },
  spec: {
    holderIdentity: 'anna@desk 1f2e3d4c',
    acquireTime: at(-90),
    renewTime: at(-10),
    leaseDurationSeconds: 60,
    ...spec,
  },
})

test('no lease, and one that was released, bind nobody', () => {
  assert.is(leaseState(undefined, now, nobodyGone), 'free')
  assert.is(
    leaseState(
      { kind: 'Lease', metadata: { name: 'x' }, spec: { leaseTransitions: 3 } },
      now,
      nobodyGone,
    ),
    'free',
  )
})

test("a lease is held for 60 s after its last renewal, by the cluster's clock", () => {
  assert.is(leaseState(lease({ renewTime: at(-60) }), now, nobodyGone), 'held')
  assert.is(leaseState(lease({ renewTime: at(-61) }), now, nobodyGone), 'expired')
})

test('a holder whose process has ended on this machine holds nothing; of other machines nothing is known', () => {
  assert.is(
    leaseState(lease(), now, (machine, pid) => machine === 'a' && pid === 7),
    'dead',
  )
  assert.is(
    leaseState(lease(), now, machine => machine === 'b'),
    'held',
  )
  const unknown = lease()
  delete unknown.metadata.annotations!['kgc.hu/machine']
  assert.is(
    leaseState(unknown, now, () => true),
    'held',
  )
})

test('what is held by hand does not expire', () => {
  const byHand = lease(
    { leaseDurationSeconds: undefined, renewTime: at(-1_000_000) },
    { 'kgc.hu/who': 'anna@desk', 'kgc.hu/reason': 'audit' },
  )
  assert.is(
    leaseState(byHand, now, () => true),
    'held',
  )
  assert.is(describeLease(byHand), 'held by hand by anna@desk since 2026-11-25T11:58:30Z: audit')
})

test('the holder is named with what it does, and where to look', () => {
  const words =
    'held by anna@desk since 2026-11-25T11:58:30Z (deploy, step watch, renewed 11:59:50)'
  assert.is(describeLease(lease()), words)
  assert.is(describeLease(lease({}, { 'kgc.hu/run': 'https://ci/1' })), `${words}: https://ci/1`)
})

/**
 * Waits for a lease of so many seconds; from the third reading on the API server has this version
 * of it.
 */
function waiting(version: string, { terminal = false, byHand = false, seconds = 3 } = {}) {
  const seen = (resourceVersion: string) => {
    const { spec, metadata, ...rest } = lease({
      renewTime: new Date().toISOString(),
      leaseDurationSeconds: byHand ? undefined : seconds,
    })
    return { ...rest, spec, metadata: { ...metadata, resourceVersion } }
  }
  const body = `if [ $n -lt 3 ]; then echo '${JSON.stringify(seen('1'))}'; else echo '${JSON.stringify(seen(version))}'; fi`
  const now = Date.now()
  return withFakeKubectl(body, () =>
    waitForStaleLock(environment, seen('1') as Lease, now, terminal),
  )
}

test('a lock that nobody renews is waited for until its time is over', async () => {
  const { error, said, ms } = await waiting('1')
  assert.is(error, undefined)
  assert.ok(ms > 3000 && ms < 20_000, `${ms} ms`)
  assert.match(
    said,
    /the lock is held by anna@desk .*; it ends at \d\d:\d\d:\d\d UTC unless it is renewed: waiting for that\n {2}it has not been renewed for 1 s/,
  )
})

test('whoever holds a lock and is seen at work is named with exit 4 there and then', async () => {
  const { error, said, ms } = await waiting('2', { seconds: 40 })
  assert.equal([error!.code, error!.why.slice(0, 17)], [4, 'held by anna@desk'])
  assert.ok(ms < 25_000, `${ms} ms`)
  assert.match(said, 'waiting for that')
})

test('at a terminal, and for a lock that is held by hand, nobody waits', async () => {
  for (const how of [{ terminal: true }, { byHand: true }]) {
    const { error, calls } = await waiting('1', how)
    assert.equal([error!.code, calls.length], [4, 0])
  }
})

test('a process that has ended is not alive, though its parent has not asked for it', async () => {
  // it ends behind the exec: the shell would ask for it
  const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 20'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    const [said] = await once(parent.stdout, 'data')
    const pid = Number(said)
    for (const end = Date.now() + 5_000; isProcessAlive(pid) && Date.now() < end;)
      await new Promise(done => setTimeout(done, 50))
    assert.match(readFileSync(`/proc/${pid}/stat`, 'utf8'), ' Z ')
    assert.not.ok(isProcessAlive(pid))
    assert.ok(isProcessAlive(process.pid))
  } finally {
    parent.kill('SIGKILL')
  }
})

test('a clock that is set back takes no time away', async () => {
  const now = Date.now
  const passed = startStopwatch()
  await new Promise(done => setTimeout(done, 30))
  try {
    Date.now = () => now() - 3_600_000
    assert.ok(passed() >= 25, `${passed()} ms`)
    // a machine that has slept
    Date.now = () => now() + 3_600_000
    assert.ok(passed() >= 3_600_000)
  } finally {
    Date.now = now
  }
})

/** Takes a lock of two seconds whose renewals get no answer, until it is lost. */
async function holdUntilLost() {
  Object.assign(leaseSeconds, { ttl: 2, renew: 0.1, margin: 1 })
  const body = `case "$*" in
    *" create leases"*) sed 's/"name":"kgc-deploy"/&,"resourceVersion":"1"/' ;;
    *" replace leases"*) echo 'Unable to connect to the server' >&2; exit 1 ;;
  esac`
  const { value, error } = await withFakeKubectl(body, async () => {
    const lock = await acquireLock(environment, 'deploy')
    const since = startStopwatch()
    const early = lock.lossFailure()
    await waitUntil('the lock is lost', 20, () => lock.lossFailure() !== undefined, 20)
    const ms = since()
    await lock.release().catch(() => {})
    return { early, failure: lock.lossFailure()!, ms }
  })
  if (error) throw error
  return value!
}

test('a lock that cannot be renewed counts as lost before its time is over, when the next may take it', async () => {
  const { early, failure, ms } = await holdUntilLost()
  assert.is(early, undefined)
  assert.is(failure.code, 7)
  assert.match(failure.why, /^it could not be renewed for \d+ s$/)
  assert.ok(ms > 900 && ms < 10_000, `${ms} ms`)
})

test.run()
