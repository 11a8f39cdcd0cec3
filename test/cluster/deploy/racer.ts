// Takes the lock of a namespace, says so, keeps it until it is told to stop: racer.ts <namespace>
// [which writing of the lease was seen before]
import { fetchLease, isLockHeld } from '../../../scripts/lib/deploy/lock/lease.ts'
import { acquireLock } from '../../../scripts/lib/deploy/lock/lock.ts'
import { main } from '../../../scripts/lib/report.ts'
import { environmentIn } from './environment.ts'

await main(async () => {
  const environment = environmentIn(process.argv[2]!)
  if (process.argv[3] === 'look')
    return void console.log(isLockHeld(await fetchLease(environment)) ? 'held' : 'free')
  const lock = await acquireLock(environment, 'deploy', process.argv[3])
  await lock.recordPhase('watch')
  console.log('won')
  while (!lock.lossFailure()) await new Promise(done => setTimeout(done, 200))
  throw lock.lossFailure()
})
