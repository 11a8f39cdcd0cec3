import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Container } from '../../scripts/lib/compose/containers.ts'
import { judge, type Expectation } from '../../scripts/lib/compose/health.ts'
import { keepSecret } from '../../scripts/lib/redact.ts'

const test = suite('health')
const now = Date.parse('2026-11-24T12:00:00Z')
const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()

const expected = (change: Partial<Expectation> = {}): Expectation => ({ service: 'x', oneShot: false, hasHealthcheck: false, ...change })
const container = (state: Partial<Container['State']> = {}, restarts = 0): Container => ({
  Id: 'a',
  Name: '/x',
  RestartCount: restarts,
  Config: { Labels: {}, Image: 'x' },
  State: { Status: 'running', ExitCode: 0, OOMKilled: false, Error: '', StartedAt: at(-60), FinishedAt: at(-61), ...state },
})
const probe = (end: number, output = '') => ({ Start: at(end - 1), End: at(end), ExitCode: 1, Output: output })
const state = (...args: Parameters<typeof judge>) => judge(...args).state

test('no container is absent', () => {
  assert.is(state(expected(), undefined, now, now), 'absent')
})

test('without a health check, running counts after 5 s and not before', () => {
  assert.is(state(expected(), container({ StartedAt: at(-4) }), now, now), 'waiting')
  assert.is(state(expected(), container({ StartedAt: at(-5) }), now, now), 'ready')
})

test('a crash loop without a health check is a failure, though it runs right now; its exit code is known when it does not', () => {
  assert.equal(judge(expected(), container({ StartedAt: at(-1) }, 3), now, now - 10_000), { service: 'x', state: 'failed', detail: 'crash loop: 3 restarts' })
  assert.is(judge(expected(), container({ Status: 'restarting', ExitCode: 7 }, 3), now, now - 10_000).detail, 'crash loop: exit 7, 3 restarts')
})

test('an old container that ends while Compose works is being replaced; once Compose is done it has failed', () => {
  const old = expected({ before: { id: 'a', restarts: 0 } })
  const ended = container({ Status: 'exited', ExitCode: 0, FinishedAt: at(-1) })
  assert.is(judge(old, ended, now, now - 5_000, false).state, 'waiting')
  assert.is(judge(old, ended, now, now - 5_000, true).state, 'failed')
  assert.is(judge(expected(), ended, now, now - 5_000, false).state, 'failed', 'a new container has really ended')
})

test('two restarts are not yet a crash loop: a database may not be ready twice', () => {
  assert.is(state(expected(), container({ Status: 'restarting' }, 2), now, now), 'waiting')
})

test('restarts from before the watch do not count, those of a new container do', () => {
  assert.is(state(expected({ before: { id: 'a', restarts: 9 } }), container({}, 9), now, now), 'ready')
  assert.is(state(expected({ before: { id: 'old', restarts: 9 } }), container({}, 9), now, now), 'failed')
})

test('healthy after a fresh restart is not yet believed', () => {
  const healthy = { Health: { Status: 'healthy', Log: [] }, StartedAt: at(-2) }
  assert.is(state(expected({ hasHealthcheck: true }), container(healthy, 1), now, now), 'waiting')
  assert.is(state(expected({ hasHealthcheck: true }), container(healthy), now, now), 'ready')
})

test('starting is waited for, unhealthy fails with what the check said', () => {
  const health = (Status: string, Log: ReturnType<typeof probe>[] = []) => container({ Health: { Status, Log } })
  assert.is(state(expected({ hasHealthcheck: true }), health('starting'), now, now), 'waiting')
  const verdict = judge(expected({ hasHealthcheck: true }), health('unhealthy', [probe(-1, 'curl: (7) refused\n')]), now, now - 5000)
  assert.equal([verdict.state, verdict.detail], ['failed', 'unhealthy: curl: (7) refused'])
})

test('half a secret is one, too: it is taken out before the answer is cut', () => {
  keepSecret('canary-7f3a91c2')
  const long = container({ Health: { Status: 'unhealthy', Log: [probe(-1, `${'x'.repeat(190)} canary-7f3a91c2`)] } })
  const verdict = judge(expected({ hasHealthcheck: true }), long, now, now - 5000)
  assert.not.match(verdict.detail, 'canary')
})

test('unhealthy since before the watch is asked again', () => {
  const old = container({ Health: { Status: 'unhealthy', Log: [probe(-30)] } })
  assert.is(state(expected({ hasHealthcheck: true }), old, now, now - 5000), 'waiting')
})

test('a one-shot is ready when it has ended with 0 and failed otherwise', () => {
  const ended = (ExitCode: number) => container({ Status: 'exited', ExitCode, FinishedAt: at(-1) })
  assert.is(state(expected({ oneShot: true }), ended(0), now, now - 5000), 'ready')
  assert.is(state(expected({ oneShot: true }), ended(3), now, now - 5000), 'failed')
  assert.is(state(expected({ oneShot: true }), container(), now, now), 'waiting')
})

test('a long-running service that ended with 0 has failed all the same', () => {
  assert.is(state(expected(), container({ Status: 'exited', FinishedAt: at(-1) }), now, now - 5000), 'failed')
})

test('what ended before the watch may still be started', () => {
  assert.is(state(expected(), container({ Status: 'exited', ExitCode: 1, FinishedAt: at(-60) }), now, now - 5000), 'waiting')
})

test('out of memory and the engine\'s own error are named', () => {
  assert.match(judge(expected(), container({ Status: 'exited', ExitCode: 137, OOMKilled: true, FinishedAt: at(0) }), now, now - 5000).detail, /exit 137, out of memory/)
  assert.match(judge(expected(), container({ Status: 'created', Error: 'port is already allocated' }), now, now).detail, /already allocated/)
})

test.run()
