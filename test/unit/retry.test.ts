import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  constantDelays,
  doublingDelays,
  pollUntil,
  retryAttempts,
  waitAtMost,
  type Attempt,
} from '../../scripts/lib/retry.ts'

const test = suite('retry')

/** Attempts that come to these, one after the other; the last again and again. */
function play(...outcomes: Attempt<string>[]) {
  let count = 0
  const attempt = async () => outcomes[Math.min(count++, outcomes.length - 1)]!
  return { attempt, count: () => count }
}
const busy = { why: 'busy', wait: 0 }

test('an attempt is made again until it is done, refused, or there are no more delays', async () => {
  const cases: [Attempt<string>[], number[], object, number][] = [
    [[busy, { done: 'yes' }], [0, 0], { done: 'yes' }, 2],
    [[busy, { why: 'no' }], [0, 0], { why: 'no' }, 2],
    [[busy], [0, 0], { why: 'busy' }, 3],
    [[busy], [], { why: 'busy' }, 1],
  ]
  for (const [outcomes, delays, expected, times] of cases) {
    const { attempt, count } = play(...outcomes)
    assert.equal(await retryAttempts(attempt, delays), expected)
    assert.is(count(), times)
  }
})

test('a pause is as long as the server asks, and at least the delay', async () => {
  const told: number[] = []
  const onRetry = (_: string, ms: number) => void told.push(ms)
  const { attempt } = play({ why: '', wait: 30 }, busy, { done: 'yes' })
  await retryAttempts(attempt, doublingDelays(5), { onRetry })
  assert.equal(told, [30, 10])
})

test('nothing is tried after the time, and a server that asks for too much is not waited for', async () => {
  const late = play(busy)
  assert.equal(await retryAttempts(late.attempt, [50], { until: Date.now() + 20 }), {
    why: 'busy',
    late: true,
  })
  const slow = play({ why: 'busy', wait: 1_000 })
  assert.equal(await retryAttempts(slow.attempt, [0], { longest: 500 }), { why: 'busy' })
  assert.equal([late.count(), slow.count()], [1, 1])
})

test('the time of constant delays begins with the first failure', async () => {
  const delays = constantDelays(5, 500)
  const first = waitAtMost(700, new Promise<number>(() => {})).then(() => 0)
  let looks = 0
  const seen = await pollUntil(
    async () => (looks++ ? looks : first),
    number => number === 3,
    delays,
  )
  assert.is(seen, 3)
  const last = await pollUntil(
    async () => 'never',
    () => false,
    constantDelays(5, 20),
  )
  assert.is(last, 'never')
})

test('work that takes too long is not waited for, and work that fails is heard', async () => {
  assert.is(await waitAtMost(10, new Promise(() => {})), undefined)
  assert.is(await waitAtMost(1_000, Promise.resolve(7)), 7)
  await waitAtMost(1_000, Promise.reject(new Error('no'))).then(assert.unreachable, error =>
    assert.is(error.message, 'no'),
  )
})

test.run()
