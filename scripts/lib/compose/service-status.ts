// The state of one service while a stack changes: that of its container, as far as the container
// answers for itself. Pure.
import type { Container } from './containers.ts'
import { containerStatus, type ContainerStatus } from './container-status.ts'
import type { ExpectedService, AccountableSince, StackSnapshot } from './stack-status.ts'
import type { ProgressState } from '../progress.ts'

/** ms a container without a new restart must have been up. */
export const settleTimeMs = 5_000

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
export interface ServiceView {
  expected: ExpectedService
  container: Container
  snapshot: StackSnapshot
  /** The same container as before Compose was called, if it was there. */
  containerBefore: Container | undefined
  /** Compose has made or started it in this run, and it is what is wanted. */
  startedByCompose: boolean
  /** What it depends on and is not ready. */
  missingDependency: string | undefined
  accountable: AccountableSince
}

/** Of a container without a health check that has not been up for long. */
export const settling = 'settling'
/** Of one that has not been started yet. */
export const waitingForOthers = 'waits for other services'
export const notStartedYet = 'stopped, not started yet'
/** Of one that may be well again. */
export const unhealthyRechecked = 'unhealthy, checked again'

export interface ServiceVerdict {
  state: ProgressState
  /** Why, in words. */
  detail: string
  /** That of its container. */
  container: ContainerStatus
}

/** The state of the service, and why. */
export function serviceStatus(view: ServiceView): ServiceVerdict {
  const container = containerStatus(
    withoutOldStartError(view),
    view.expected.oneShot,
    countNewRestarts(view),
  )
  const [state, detail] = judgeView(view, container)
  return { state, detail, container }
}

type Words = readonly [ProgressState, string]

function judgeView(view: ServiceView, { condition, detail, restarts }: ContainerStatus): Words {
  const { expected, container, snapshot, containerBefore } = view
  if (condition === 'removing') return ['waiting', detail]
  if (containerBefore && snapshot.composeExitCode !== 0 && !isUpToDate(expected, container))
    return [
      'waiting',
      snapshot.composeExitCode === undefined ? 'being replaced' : 'has an older configuration',
    ]
  const up = snapshot.at - Date.parse(container.State.StartedAt)
  switch (condition) {
    case 'cannot start':
    case 'paused':
    case 'crash loop':
      return ['failed', detail]
    case 'not started':
      return ['waiting', waitingForOthers]
    case 'done':
      return ['ready', detail]
    case 'ended':
      return mayBeStartedYet(view) ? ['waiting', notStartedYet] : ['failed', detail]
    case 'running':
      if (expected.oneShot) return ['waiting', detail]
      return up >= settleTimeMs ? ['ready', detail] : ['waiting', settling]
    case 'unhealthy':
      return judgeUnhealthy(view, detail)
    case 'healthy':
      // the last answer may be older than the restart that is being watched
      return up < settleTimeMs && restarts > 0
        ? ['waiting', `healthy, restarted ${restarts}×`]
        : ['ready', detail]
    default:
      return ['waiting', detail]
  }
}

/**
 * The engine keeps an error until the container is started again: while Compose is at work, one of
 * before this run does not count.
 */
function withoutOldStartError({ container, containerBefore, snapshot }: ServiceView): Container {
  const { State: state } = container
  const counts =
    snapshot.composeExitCode !== undefined || state.Error !== containerBefore?.State.Error
  return counts ? container : { ...container, State: { ...state, Error: '' } }
}

/** The restarts since it answers for itself; a start by hand counts from zero again. */
const countNewRestarts = ({
  container: { RestartCount: count },
  accountable,
}: ServiceView): number => (count < accountable.restarts ? count : count - accountable.restarts)

const mayBeStartedYet = ({ containerBefore, snapshot, startedByCompose }: ServiceView): boolean =>
  containerBefore !== undefined &&
  (snapshot.composeExitCode === undefined || (snapshot.composeExitCode !== 0 && !startedByCompose))

function judgeUnhealthy(
  { container, snapshot, missingDependency, accountable }: ServiceView,
  detail: string,
): Words {
  if (accountable.pending || snapshot.at - accountable.at < healthGraceMs(container))
    return [
      'waiting',
      missingDependency ? `unhealthy, needs ${missingDependency}` : unhealthyRechecked,
    ]
  return ['failed', detail]
}

/**
 * ms in which a check that goes on failing makes a container unhealthy; the engine's own defaults
 * stand for what is not set.
 */
function healthGraceMs({ Config: { Healthcheck: check } }: Container): number {
  return ((check?.Interval || 30e9) / 1e6) * (check?.Retries || 3)
}
