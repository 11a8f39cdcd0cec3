// The state of one container at one moment, as `docker inspect` shows it: by name and in words. The
// wait, the smoke test and the doctor all use it. Pure.
import type { Container } from './containers.ts'
import { redact } from '../redact.ts'
import { lastLineOf } from '../text.ts'

/** Restarts that make a crash loop: a service may find its database not ready twice. */
const crashLoopRestarts = 3

/** `running`: without a health check. `done`: a one-shot that has ended with 0. */
export type ContainerCondition =
  | 'removing'
  | 'not started'
  | 'cannot start'
  | 'paused'
  | 'ended'
  | 'done'
  | 'restarting'
  | 'crash loop'
  | 'running'
  | 'starting'
  | 'healthy'
  | 'unhealthy'

export interface ContainerStatus {
  condition: ContainerCondition
  /** In words: `healthy`, `ended: exit 137, out of memory` … */
  detail: string
  /** The restarts that were counted. */
  restarts: number
}

/**
 * The state of a container. `restarts`: how many count; of one that nobody has watched, all that it
 * has had when it is being restarted now.
 */
export function containerStatus(
  container: Container,
  oneShot: boolean,
  restarts = container.State.Status === 'restarting' ? container.RestartCount : 0,
): ContainerStatus {
  const [condition, detail] = describeState(container, oneShot, restarts)
  return { condition, detail, restarts }
}

type Words = [ContainerCondition, string]

function describeState(container: Container, oneShot: boolean, restarts: number): Words {
  const { State: state } = container
  const error = readStartError(state)
  if (state.Status === 'removing') return ['removing', 'being removed']
  if (error) return ['cannot start', `cannot be started: ${error}`]
  if (state.Status === 'created') return ['not started', 'created, never started']
  if (state.Status === 'paused') return ['paused', 'paused']
  if (state.Status === 'exited' || state.Status === 'dead')
    return oneShot && state.ExitCode === 0
      ? ['done', 'done']
      : ['ended', `ended: ${describeExit(state)}`]
  if (restarts >= crashLoopRestarts) return ['crash loop', describeCrashLoop(restarts, state)]
  if (state.Status === 'restarting')
    return ['restarting', `restarting after ${describeExit(state)}`]
  return describeRunning(container, oneShot)
}

/** Why the engine could not start it; '' also when that start was called off. */
const readStartError = ({ Error, Status }: Container['State']): string =>
  Status === 'running' || /context canceled/.test(Error) ? '' : Error

function describeRunning({ State: { Health } }: Container, oneShot: boolean): Words {
  if (oneShot) return ['running', 'running, not done yet']
  const health = Health?.Status ?? 'none'
  if (health === 'none') return ['running', 'running']
  if (health === 'unhealthy')
    return ['unhealthy', describeUnhealthy(Health?.Log?.at(-1)?.Output ?? '')]
  return health === 'healthy' ? ['healthy', 'healthy'] : ['starting', 'starting']
}

const describeExit = ({ ExitCode, OOMKilled }: Container['State']): string =>
  `exit ${ExitCode}${OOMKilled ? ', out of memory' : ''}`

/** While a container runs the engine shows no exit code: `state` is of its last end, if known. */
export const describeCrashLoop = (restarts: number, state: Container['State']): string =>
  `crash loop: ${state.Status === 'running' ? '' : `${describeExit(state)}, `}${restarts} restarts`

/** An unhealthy container, with the last line of what its health check printed. */
export function describeUnhealthy(output: string): string {
  const line = lastLineOf(redact(output)).slice(0, 200)
  return `unhealthy: ${line || 'its check printed nothing'}`
}
