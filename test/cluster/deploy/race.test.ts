// Whole deploys at once: eight, and twenty with KGC_SOAK=N, which does it N times.
import { setPriority } from 'node:os'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { kubectl } from '../cluster.ts'
import type { Started } from '../../sandbox.ts'
import { createTestEnvironment } from './test-environment.ts'
import { waitUntil } from '../../until.ts'

const test = suite('race')
const { space, write, start, get, releases } = createTestEnvironment('kgc-t-race')
const racers = process.env.KGC_SOAK ? 20 : 8

// all of them share two processors with whoever else is at work
setPriority(10)

for (let round = 1; round <= Number(process.env.KGC_SOAK || 1); round++)
  test(`of ${racers} deploys at once one wins, and the others exit 4 naming it (${round})`, async () => {
    const began = Date.now()
    // the winner holds the lock until all others have met it
    write({
      config: { A: String(round) },
      migrate: `echo ${round}; until test -e /tmp/go; do sleep 0.2; done`,
    })
    const ended = new Set<Started>()
    const all = Array.from({ length: racers }, () => {
      const one = start(['deploy', 'test'])
      void one.code.then(() => ended.add(one))
      return one
    })
    await waitUntil('all but one refused', 300, () => ended.size === racers - 1)
    const refused = all.filter(one => ended.has(one))
    const winner = all.find(one => !ended.has(one))!
    const { spec } = get('lease', 'kgc-deploy')
    const holder = `held by ${spec.holderIdentity.replace(/ [^ ]+$/, '')} since ${spec.acquireTime.slice(0, 19)}Z`
    for (const { code, said } of refused) {
      assert.is(await code, 4, said())
      assert.match(said(), holder)
    }
    await waitUntil('the migration', 60, () => get('job', 'migrate').status.ready === 1)
    kubectl(['exec', '--namespace', space, 'job/migrate', '--', 'touch', '/tmp/go'])
    assert.is(await winner.code, 0, winner.said())
    assert.is(releases().length, round, 'nobody else has left a trace')
    assert.is(releases().at(-1)!.ending, 'succeeded')
    assert.is(get('lease', 'kgc-deploy').spec.holderIdentity, undefined)
    console.log(`${racers} deploys, one winner: ${((Date.now() - began) / 1000).toFixed(1)} s`)
  })

test.run()
