import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { containerStatus } from '../../scripts/lib/compose/container-status.ts'
import type { Container } from '../../scripts/lib/compose/containers.ts'

const test = suite('container status')

const container = (state: Partial<Container['State']>, RestartCount = 0) =>
  ({ RestartCount, State: { Status: 'running', ExitCode: 0, Error: '', ...state } }) as Container
const health = (Status: string, Output = '') => ({
  Health: { Status, Log: [{ Start: '', End: '', ExitCode: 1, Output }] },
})

const states: [Partial<Container['State']>, string, string][] = [
  [{ Status: 'created' }, 'created, never started', 'not started'],
  [{ Status: 'created', Error: 'no port' }, 'cannot be started: no port', 'cannot start'],
  [{ Status: 'created', Error: 'context canceled' }, 'created, never started', 'not started'],
  [{ Status: 'removing', Error: 'x' }, 'being removed', 'removing'],
  [{ Status: 'paused', ...health('healthy') }, 'paused', 'paused'],
  [{ Status: 'exited' }, 'ended: exit 0', 'ended'],
  [{ Status: 'dead', ExitCode: 1, OOMKilled: true }, 'ended: exit 1, out of memory', 'ended'],
  [{ Status: 'restarting', ExitCode: 7 }, 'crash loop: exit 7, 4 restarts', 'crash loop'],
  [{}, 'running', 'running'],
  [health('starting'), 'starting', 'starting'],
  [health('healthy'), 'healthy', 'healthy'],
  [health('unhealthy', 'first\nno pulse\n'), 'unhealthy: no pulse', 'unhealthy'],
  [health('unhealthy'), 'unhealthy: its check printed nothing', 'unhealthy'],
]
test('each state that the engine shows has one name and one wording', () => {
  for (const [state, detail, condition] of states) {
    const found = containerStatus(container(state, 4), false)
    assert.equal([found.detail, found.condition], [detail, condition], JSON.stringify(state))
  }
})

test('a one-shot is done when it has ended with 0, and not before', () => {
  const words = (state: Partial<Container['State']>) => containerStatus(container(state), true)
  assert.is(words({ Status: 'exited' }).condition, 'done')
  assert.is(words({ Status: 'exited', ExitCode: 3 }).detail, 'ended: exit 3')
  assert.is(words({}).detail, 'running, not done yet')
})

test('one that runs is in a crash loop only for those who saw it restart', () => {
  assert.is(containerStatus(container({}, 9), false).condition, 'running')
  assert.is(containerStatus(container({}, 9), false, 3).detail, 'crash loop: 3 restarts')
  assert.is(containerStatus(container({ Status: 'restarting' }, 2), false).condition, 'restarting')
})

test.run()
