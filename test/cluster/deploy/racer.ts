// Takes the lock of a namespace, says so, keeps it until it is told to stop: racer.ts <namespace> [which writing of the lease was seen before]
import { current, isInTheWay } from '../../../scripts/lib/deploy/lease.ts'
import { acquire } from '../../../scripts/lib/deploy/lock.ts'
import { main } from '../../../scripts/lib/report.ts'
import { placeIn } from './place.ts'

await main(async () => {
  const place = placeIn(process.argv[2]!)
  if (process.argv[3] === 'look')
    return void console.log((await isInTheWay(place, await current(place))) ? 'held' : 'free')
  const lock = await acquire(place, 'deploy', process.argv[3])
  await lock.phase('watch')
  console.log('won')
  while (!lock.lost()) await new Promise(done => setTimeout(done, 200))
  throw lock.lost()
})
