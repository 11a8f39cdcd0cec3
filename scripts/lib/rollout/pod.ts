// What a pod that is not ready, or not yet to be believed, is at. Pure.
import type { Manifest as Json } from '../kubernetes/kubectl.ts'
import { isReady } from '../kubernetes/workload-health.ts'
import { findLastTermination, lifetimeMs } from './crash-loop.ts'
import {
  timestampMs,
  findCondition,
  listPodContainers,
  listObjectEvents,
  findLastMessage,
  describeProbeFailure,
  type DiagnosisContext,
} from './objects.ts'
import type { WorkloadStatus } from './status.ts'

/** ms that a container which has ended must at the most run to be believed. */
const maxProbationMs = 60_000

/**
 * A container that has ended and runs again is believed once it has lived longer than the last
 * time.
 */
export function describeProbation(pod: Json, context: DiagnosisContext): string | undefined {
  const trials = listPodContainers(pod)
    .filter(({ init, status }) => !init && status.state?.running)
    .map(container => {
      const ended = findLastTermination(container, context)
      if (
        !ended ||
        context.now - timestampMs(container.status.state.running.startedAt) >
          Math.min(lifetimeMs(ended) + 5_000, maxProbationMs)
      )
        return undefined
      return `${container.status.name} ended with exit ${ended.exitCode} and runs again`
    })
  return trials.find(Boolean)
}

/** What a pod that is not ready does; '' when it shows nothing. */
export function describePodProblem(pod: Json, context: DiagnosisContext): string {
  if (pod.status.phase === 'Succeeded') return ''
  const events = listObjectEvents(pod, context)
  const scheduled = findCondition(pod, 'PodScheduled')
  if (scheduled?.status === 'False') return `${scheduled.reason}: ${scheduled.message}`
  const words = listPodContainers(pod).map(container => {
    const { init, spec, status } = container
    const { running, terminated, waiting } = status.state ?? {}
    if (init && running) return `${status.name} runs first`
    const ended = findLastTermination(container, context)
    if (ended && (terminated || waiting)) return `${status.name} ended with exit ${ended.exitCode}`
    if (running && !status.ready)
      return describeProbeFailure(events, spec) || `${status.name} starts`
    if (waiting && !['ContainerCreating', 'PodInitializing'].includes(waiting.reason))
      return `${status.name}: ${waiting.reason}${
        imagePullReasons.test(waiting.reason)
          ? findLastMessage(events, /^Failed$/, /^Failed to pull/)
              .replace(/^/, ' ')
              .trimEnd()
              .slice(0, 200)
          : ''
      }`
    return ''
  })
  const volume = events
    .filter(one => /^Failed(Mount|AttachVolume)$/.test(one.reason))
    .at(-1)?.message
  return words.find(Boolean) || (volume && pod.status.phase === 'Pending' ? volume : '')
}

/**
 * Whose log says what pods that are not ready are at: the first container that runs and is not
 * ready.
 */
function findLogSource(pods: Json[]): { pod: string; container: string } | undefined {
  const all = pods
    .filter(pod => !isReady(pod))
    .flatMap(pod => listPodContainers(pod).map(container => ({ pod, ...container })))
  const found =
    all.find(({ init, status }) => status.state?.running && (init || !status.ready)) ??
    all.find(({ status }) => status.state?.running)
  return found && { pod: found.pod.metadata.name, container: found.status.name }
}

/** The verdict that these pods are waited for. */
export function createWaitingStatus(detail: string, pods: Json[]): WorkloadStatus {
  const speaks = findLogSource(pods)
  return { state: 'waiting', detail, ...(speaks ? { speaks } : {}) }
}

const imagePullReasons = /^(ErrImagePull|ImagePullBackOff)$/

/** Since when a pod has been ready without a restart, ms of the cluster's clock. */
export const podReadySinceMs = (pod: Json): number =>
  Math.max(
    timestampMs(findCondition(pod, 'Ready')?.lastTransitionTime),
    ...listPodContainers(pod).map(({ status }) => timestampMs(status.state?.running?.startedAt)),
  )
