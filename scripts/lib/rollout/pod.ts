// What a pod that is not ready, or not yet to be believed, is at. Pure.
import type { Manifest as Json } from '../cluster/cluster.ts'
import { isReady } from '../smoke/cluster-health.ts'
import { lastEnd, lifetime } from './crash.ts'
import {
  at,
  condition,
  containersOf,
  eventsOf,
  lastMessage,
  probeWords,
  type Context,
} from './objects.ts'
import type { Rollout } from './verdict.ts'

/** ms that a container which has ended must at the most run to be believed. */
const longestTrial = 60_000

/** A container that has ended and runs again is believed once it has lived longer than the last time. */
export function onTrial(pod: Json, context: Context): string | undefined {
  const trials = containersOf(pod)
    .filter(({ init, status }) => !init && status.state?.running)
    .map(container => {
      const ended = lastEnd(container, context)
      if (
        !ended ||
        context.now - at(container.status.state.running.startedAt) >
          Math.min(lifetime(ended) + 5_000, longestTrial)
      )
        return undefined
      return `${container.status.name} ended with exit ${ended.exitCode} and runs again`
    })
  return trials.find(Boolean)
}

/** What a pod that is not ready does; '' when it shows nothing. */
export function trouble(pod: Json, context: Context): string {
  if (pod.status.phase === 'Succeeded') return ''
  const events = eventsOf(pod, context)
  const scheduled = condition(pod, 'PodScheduled')
  if (scheduled?.status === 'False') return `${scheduled.reason}: ${scheduled.message}`
  const words = containersOf(pod).map(container => {
    const { init, spec, status } = container
    const { running, terminated, waiting } = status.state ?? {}
    if (init && running) return `${status.name} runs first`
    const ended = lastEnd(container, context)
    if (ended && (terminated || waiting)) return `${status.name} ended with exit ${ended.exitCode}`
    if (running && !status.ready) return probeWords(events, spec) || `${status.name} starts`
    if (waiting && !['ContainerCreating', 'PodInitializing'].includes(waiting.reason))
      return `${status.name}: ${waiting.reason}${
        pulling.test(waiting.reason)
          ? lastMessage(events, /^Failed$/, /^Failed to pull/)
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

/** Whose log says what pods that are not ready are at: the first container that runs and is not ready. */
function speaker(pods: Json[]): { pod: string; container: string } | undefined {
  const all = pods
    .filter(pod => !isReady(pod))
    .flatMap(pod => containersOf(pod).map(container => ({ pod, ...container })))
  const found =
    all.find(({ init, status }) => status.state?.running && (init || !status.ready)) ??
    all.find(({ status }) => status.state?.running)
  return found && { pod: found.pod.metadata.name, container: found.status.name }
}

/** The verdict that these pods are waited for. */
export function waiting(detail: string, pods: Json[]): Rollout {
  const speaks = speaker(pods)
  return { state: 'waiting', detail, ...(speaks ? { speaks } : {}) }
}

const pulling = /^(ErrImagePull|ImagePullBackOff)$/

/** Since when a pod has been ready without a restart, ms of the cluster's clock. */
export const stoodSince = (pod: Json): number =>
  Math.max(
    at(condition(pod, 'Ready')?.lastTransitionTime),
    ...containersOf(pod).map(({ status }) => at(status.state?.running?.startedAt)),
  )
