// The deploy lock on a real API server: what becomes of one whose holder dies or stops. That one of
// many wins is race.test.ts's matter.
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterEnv, get, namespace } from '../cluster.ts'
import { holdLock, forceUnlock } from '../../../scripts/lib/deploy/lock/manual-lock.ts'
import { environmentIn } from './environment.ts'
import { moveLeaseToAnotherMachine, renewLeaseAt } from './lease.ts'
import { waitUntil } from '../../until.ts'
import { readTypeScript } from '../../node.ts'

const test = suite('deploy lock')
const space = namespace('kgc-t-lock')
const environment = environmentIn(space)
const lease = () => get('lease', 'kgc-deploy', '--namespace', space)

interface Racer {
  child: ChildProcess
  text: string
  code: Promise<number | null>
}
const racers = new Set<Racer>()
process.once('exit', () => {
  for (const { child } of racers) child.kill('SIGKILL')
})

function race(...more: string[]): Racer {
  const child = spawn(
    process.execPath,
    [...readTypeScript, join(import.meta.dirname, 'racer.ts'), space, ...more],
    { env: { ...process.env, ...clusterEnv, NO_COLOR: '1' } },
  )
  const racer: Racer = { child, text: '', code: new Promise(done => child.on('close', done)) }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (racer.text += data))
  racers.add(racer)
  return racer
}
const winner = (list: Racer[]) =>
  waitUntil('a winner', 60, () => list.find(({ text }) => text.includes('won')))

async function end({ child, code }: Racer, signal: NodeJS.Signals) {
  child.kill(signal)
  return code
}

test('the lock of a process that was killed on this machine is taken over at once, and that is said', async () => {
  const first = race()
  await winner([first])
  await end(first, 'SIGKILL')
  const second = race()
  await winner([second])
  assert.match(second.text, /the lock was held by .*step watch.*its process has ended: taken over/)
  assert.is(await end(second, 'SIGINT'), 130)
  assert.is(lease().spec.holderIdentity, undefined, 'released when interrupted')
  assert.match(lease().metadata.annotations['kgc.hu/ended'], /^released by .* in step watch$/)
})

test('it is renewed, and whoever is unlocked by hand stops', async () => {
  const racer = race()
  await winner([racer])
  const { renewTime } = lease().spec
  await waitUntil('a renewal', 30, () => lease().spec.renewTime > renewTime)
  assert.match(await forceUnlock(environment, 'a test'), /^it was held by /)
  assert.is(await racer.code, 4)
  assert.match(racer.text, /WHY +it was unlocked: unlocked by .*: a test/)
})

test('who has looked before another change began and ended must look again', async () => {
  const seen = lease().metadata.resourceVersion
  const other = race(seen)
  await winner([other])
  await end(other, 'SIGTERM')
  const late = race(seen)
  assert.is(await late.code, 4)
  assert.match(late.text, 'another deploy has run since the pre-flight')
})

test('held by hand it does not expire; it is refused until it is unlocked', async () => {
  await holdLock(environment, 'freeze until Monday')
  const racer = race()
  assert.is(await racer.code, 4)
  assert.match(racer.text, /held by hand by .*: freeze until Monday/)
  await forceUnlock(environment, 'Monday')
  assert.match(lease().metadata.annotations['kgc.hu/ended'], /Monday \(it was held by hand/)
})

test('a lock of another machine is taken over 60 s after its last renewal, not before', async () => {
  const racer = race()
  await winner([racer])
  await end(racer, 'SIGKILL')
  moveLeaseToAnotherMachine(space)
  assert.is(await race().code, 4)
  renewLeaseAt(space, Date.now() - 62_000)
  const next = race()
  await winner([next])
  assert.match(next.text, /it has not been renewed for 60 s: taken over/)
  await end(next, 'SIGTERM')
})

// a racer that a failed test has left would keep this process alive
test.after(() => {
  for (const { child } of racers) child.kill('SIGKILL')
})

test.run()
