// Judges a stack that is starting: observed containers in, verdict out. Pure.
// `docker compose up --wait` calls a crash loop without a health check healthy, and a one-shot that ended well a failure.
import type { Container } from './containers.ts'
import { redact } from '../redact.ts'
import type { State } from '../live-table.ts'

export interface Verdict {
  service: string
  state: State
  /** In words: 'healthy', 'starting', 'crash loop: exit 1, 3 restarts' … */
  detail: string
}

/** What the judge knows of a service besides its container. */
export interface Expectation {
  service: string
  oneShot: boolean
  hasHealthcheck: boolean
  /** RestartCount of the container with this id when the watch began; another id counts from 0. */
  before?: { id: string; restarts: number }
}

/** ms a container without a new restart must have been up. */
export const settled = 5_000
/** Restarts that make a crash loop: a service may find its database not ready twice. */
export const crashes = 3

/**
 * The verdict on one service at the time `now` (ms); `since` (ms) is when the watch began: older failures do not count.
 * `started`: Compose is done; before, a container of old that ends may be one that is being replaced.
 */
export function judge(expected: Expectation, container: Container | undefined, now: number, since: number, started = true): Verdict {
  const verdict = (state: State, detail: string): Verdict => ({ service: expected.service, state, detail })
  if (!container) return verdict('absent', 'not created')
  const { State: state } = container
  const restarts = container.RestartCount - (expected.before?.id === container.Id ? expected.before.restarts : 0)
  const ended = `exit ${state.ExitCode}${state.OOMKilled ? ', out of memory' : ''}`
  if (state.Error) return verdict('failed', state.Error)
  if (state.Status === 'created') return verdict('waiting', 'waits for others')
  if (state.Status === 'exited' || state.Status === 'dead') {
    if (expected.oneShot && state.ExitCode === 0) return verdict('ready', 'done')
    if (!started && expected.before?.id === container.Id) return verdict('waiting', 'being replaced')
    if (Date.parse(state.FinishedAt) < since) return verdict('waiting', 'stopped before, not started yet')
    return verdict('failed', `ended: ${ended}`)
  }
  // while it runs the engine shows no exit code
  if (restarts >= crashes) return verdict('failed', `crash loop: ${state.Status === 'running' ? '' : `${ended}, `}${restarts} restarts`)
  if (state.Status === 'restarting') return verdict('waiting', `restarting after ${ended}`)
  if (state.Status === 'paused') return verdict('failed', 'paused')
  if (expected.oneShot) return verdict('waiting', 'running')
  const up = now - Date.parse(state.StartedAt)
  if (expected.hasHealthcheck) {
    const health = state.Health?.Status ?? 'starting'
    if (health === 'unhealthy') return unhealthy(verdict, state.Health?.Log ?? [], since)
    if (health !== 'healthy') return verdict('waiting', 'starting')
    // the last answer may be of before the restart that is being watched
    if (up < settled && restarts > 0) return verdict('waiting', `healthy, restarted ${restarts}×`)
    return verdict('ready', 'healthy')
  }
  return up >= settled ? verdict('ready', 'running') : verdict('waiting', 'settling')
}

function unhealthy(verdict: (state: State, detail: string) => Verdict, log: { End: string; Output: string }[], since: number): Verdict {
  const last = log.at(-1)
  if (!last || Date.parse(last.End) < since) return verdict('waiting', 'was unhealthy, asked again')
  return verdict('failed', `unhealthy: ${redact(last.Output).trim().split('\n').at(-1)?.slice(0, 200) || 'the check printed nothing'}`)
}
