// The state of one container, as far as it answers for itself, in words. Pure.
import type { Container } from './containers.ts'
import type { ExpectedService, AccountableSince, StackSnapshot } from './stack-status.ts'
import type { ProgressState } from '../progress.ts'
import { redact } from '../redact.ts'

/** ms a container without a new restart must have been up. */
export const settleTimeMs = 5_000
/** Restarts that make a crash loop: a service may find its database not ready twice. */
export const crashLoopRestarts = 3

/** Compose's label with the hash of the configuration that a container was made from. */
export const configHashLabel = 'com.docker.compose.config-hash'

/**
 * Whether a container is what is wanted now. It may be replaced all the same: Compose 2.26 does so
 * when what it depends on is.
 */
export const isUpToDate = (
  { hash, image }: ExpectedService,
  { Config, Image }: Container,
): boolean => Config.Labels[configHashLabel] === hash && (image === undefined || Image === image)

/** A container with all that the verdict on it depends on. */
export interface ContainerView {
  one: ExpectedService
  container: Container
  look: StackSnapshot
  /** The same container as before Compose was called, if it was there. */
  old: Container | undefined
  /** Compose has made or started it in this run, and it is what is wanted. */
  fresh: boolean
  /** What it depends on and is not ready. */
  awaited: string | undefined
  ground: AccountableSince
}

/** Of a container without a health check that has not been up for long. */
export const settling = 'settling'
/** Of one that has not been started yet. */
export const waitingForOthers = 'waits for others'
export const notStartedYet = 'stopped, not started yet'
/** Of one that may be well again. */
export const unhealthyRechecked = 'unhealthy, asked again'
type Words = readonly [ProgressState, string]

/** The state of the container, and why. */
export function containerStatus(view: ContainerView): Words {
  const { one, container, look, old } = view
  const { State: state } = container
  const over = look.code !== undefined
  if (state.Status === 'removing') return ['waiting', 'being removed']
  if (old && look.code !== 0 && !isUpToDate(one, container))
    return ['waiting', over ? 'of an older configuration' : 'being replaced']
  if (startError(view)) return ['failed', state.Error]
  if (state.Status === 'created') return ['waiting', waitingForOthers]
  if (state.Status === 'exited' || state.Status === 'dead') return ended(view)
  if (state.Status === 'paused') return ['failed', 'paused']
  return alive(view)
}

/**
 * The engine keeps an error until the container is started again: one of before this run does not
 * count, nor that of a start that was called off.
 */
function startError({ container: { State: state }, old, look }: ContainerView): boolean {
  if (!state.Error || state.Status === 'running' || /context canceled/.test(state.Error))
    return false
  return look.code !== undefined || state.Error !== old?.State.Error
}

const exitWords = ({ ExitCode, OOMKilled }: Container['State']): string =>
  `exit ${ExitCode}${OOMKilled ? ', out of memory' : ''}`

function ended({ one, container: { State: state }, look, old, fresh }: ContainerView): Words {
  if (one.oneShot && state.ExitCode === 0) return ['ready', 'done']
  if (old && (look.code === undefined || (look.code && !fresh))) return ['waiting', notStartedYet]
  return ['failed', `ended: ${exitWords(state)}`]
}

function alive({ one, container, look, awaited, ground }: ContainerView): Words {
  const { State: state, RestartCount: count } = container
  // a start by hand begins to count anew
  const restarts = count < ground.restarts ? count : count - ground.restarts
  // while it runs the engine shows no exit code
  if (restarts >= crashLoopRestarts)
    return [
      'failed',
      `crash loop: ${state.Status === 'running' ? '' : `${exitWords(state)}, `}${restarts} restarts`,
    ]
  if (state.Status === 'restarting') return ['waiting', `restarting after ${exitWords(state)}`]
  if (one.oneShot) return ['waiting', 'running']
  const up = look.at - Date.parse(state.StartedAt)
  const health = state.Health?.Status ?? 'none'
  if (health === 'none') return up >= settleTimeMs ? ['ready', 'running'] : ['waiting', settling]
  if (health === 'unhealthy' && (ground.held || look.at - ground.at < healthGraceMs(container)))
    return ['waiting', awaited ? `unhealthy, needs ${awaited}` : unhealthyRechecked]
  if (health === 'unhealthy') return unhealthy(container)
  if (health !== 'healthy') return ['waiting', 'starting']
  // the last answer may be of before the restart that is being watched
  return up < settleTimeMs && restarts > 0
    ? ['waiting', `healthy, restarted ${restarts}×`]
    : ['ready', 'healthy']
}

/**
 * ms in which a check that goes on failing makes a container unhealthy; the engine's own defaults
 * stand for what is not set.
 */
function healthGraceMs({ Config: { Healthcheck: check } }: Container): number {
  return ((check?.Interval || 30e9) / 1e6) * (check?.Retries || 3)
}

function unhealthy({ State: { Health } }: Container): Words {
  const words = redact(Health?.Log?.at(-1)?.Output ?? '')
    .trim()
    .split('\n')
    .at(-1)
    ?.slice(0, 200)
  return ['failed', `unhealthy: ${words || 'the check printed nothing'}`]
}
