// What a pod does that is not ready, or has only just become ready. Pure.
import { findLastTermination, lifetimeMs } from './crash-loop.ts'
import {
  findCondition,
  isPodReady,
  listPodContainers,
  timestampMs,
  type ClusterEvent,
  type Pod,
  type PodContainer,
} from '../objects.ts'
import {
  describeDiagnosis,
  describeProbeFailure,
  findPullEvent,
  imagePullReasons,
  listObjectEvents,
  listSandboxFailures,
  listVolumeFailures,
  usualWaitReasons,
  type DiagnosisContext,
} from './diagnosis.ts'
import { diagnosePodEnd } from './failed-pod.ts'
import { diagnosePod } from './failures.ts'

/** ms that a container which has ended must at most run to be believed. */
const maxProbationMs = 60_000

/**
 * A container that has ended and runs again is believed once it has lived longer than the last
 * time.
 */
export function describeProbation(pod: Pod, context: DiagnosisContext): string | undefined {
  return listPodContainers(pod)
    .map(container => describeRestart(container, context))
    .find(Boolean)
}

function describeRestart(container: PodContainer, context: DiagnosisContext): string | undefined {
  const { init, status } = container
  const ended = findLastTermination(container, context)
  const { running } = status.state ?? {}
  if (init || !running || !ended) return undefined
  const probation = Math.min(lifetimeMs(ended) + 5_000, maxProbationMs)
  return context.now - timestampMs(running.startedAt) > probation
    ? undefined
    : `${status.name} ended with exit ${ended.exitCode} and runs again`
}

/** What a pod that is not ready does; '' when it shows nothing. */
export function describePodProblem(pod: Pod, context: DiagnosisContext): string {
  if (pod.status.phase === 'Succeeded') return ''
  const ended = diagnosePodEnd(pod)
  if (ended) return describeDiagnosis(ended)
  const scheduled = findCondition(pod, 'PodScheduled')
  if (scheduled?.status === 'False') return `${scheduled.reason}: ${scheduled.message}`
  const words = listPodContainers(pod).map(one => describeContainer(one, pod, context))
  const held = [...listVolumeFailures(pod, context), ...listSandboxFailures(pod, context)]
  const node = held.at(-1)?.message ?? ''
  return words.find(Boolean) || (pod.status.phase === 'Pending' ? node : '')
}

function describeContainer(container: PodContainer, pod: Pod, context: DiagnosisContext): string {
  const { init, spec, status } = container
  const { running, terminated, waiting } = status.state ?? {}
  const events = listObjectEvents(pod, context)
  if (init && running) return `${status.name} runs first`
  const ended = findLastTermination(container, context)
  if (ended && (terminated || waiting)) return `${status.name} ended with exit ${ended.exitCode}`
  if (running && !status.ready) return describeProbeFailure(events, spec) || `${status.name} starts`
  const reason = waiting?.reason ?? ''
  if (!reason || usualWaitReasons.includes(reason)) return ''
  const pull = imagePullReasons.includes(reason) ? findPullEvent(events) : ''
  return `${status.name}: ${reason}${` ${pull}`.trimEnd().slice(0, 200)}`
}

/** ms: what a pod did before says nothing of how it is now; the longest back-off is 5 min. */
const recentMs = 10 * 60_000

/** What keeps pods from being ready at `now` (ms), of the first three; '' when none says. */
export function describeUnreadyPods(pods: Pod[], events: ClusterEvent[], now: number): string {
  const context = {
    now,
    since: now - recentMs,
    events,
    restarts: {},
    dependenciesReadySince: undefined,
  }
  const words = pods
    .filter(pod => !isPodReady(pod) && pod.status.phase !== 'Succeeded')
    .map(pod => `${pod.metadata.name}: ${describeUnreadyPod(pod, context)}`)
  return words.slice(0, 3).join(', ')
}

function describeUnreadyPod(pod: Pod, context: DiagnosisContext): string {
  if (pod.metadata.deletionTimestamp) return 'being removed'
  const found = diagnosePod(pod, context)
  if (found) return describeDiagnosis(found)
  return describePodProblem(pod, context) || `${pod.status.phase}`
}

/**
 * Whose log says what pods that are not ready are at: the first container that runs and is not
 * ready.
 */
export function findLogSource(pods: Pod[]): { pod: string; container: string } | undefined {
  const all = pods
    .filter(pod => !isPodReady(pod))
    .flatMap(pod => listPodContainers(pod).map(container => ({ pod, ...container })))
  const found =
    all.find(({ init, status }) => status.state?.running && (init || !status.ready)) ??
    all.find(({ status }) => status.state?.running)
  return found && { pod: found.pod.metadata.name, container: found.status.name }
}

/** Since when a pod has been ready without a restart, ms of the cluster's clock. */
export const podReadySinceMs = (pod: Pod): number =>
  Math.max(
    timestampMs(findCondition(pod, 'Ready')?.lastTransitionTime),
    ...listPodContainers(pod).map(({ status }) => timestampMs(status.state?.running?.startedAt)),
  )
