// The failure table: what a pod or its owner shows, and after which time it is a failure. Objects
// in, causes out. Pure.
import type { ContainerStatus } from 'kubernetes-types/core/v1.js'
import { diagnoseCrashLoop, isNodeFailure } from './crash-loop.ts'
import { diagnoseImagePull } from './image-pull.ts'
import {
  findCondition,
  hasCondition,
  listPodContainers,
  timestampMs,
  type Job,
  type Pod,
  type PodContainer,
  type ReplicaSet,
  type Workload,
} from '../objects.ts'
import {
  listObjectEvents,
  firstEventMs,
  findPullEvent,
  imagePullReasons,
  listSandboxFailures,
  listVolumeFailures,
  durationMs,
  type DiagnosisContext,
  type Diagnosis,
  type DiagnosisText,
} from './diagnosis.ts'

/** ms that a state may last before it is a failure. What cannot heal by itself fails at once. */
const failureGraceMs = {
  // a Secret may be unsealed a moment after the pods that read it have begun
  config: 6_000,
  quota: 15_000,
  // a new node, a volume that is still attached elsewhere, a container runtime under load
  schedule: 30_000,
  mount: 30_000,
  create: 30_000,
  // a network plug-in that starts with its node, an address that another pod gives back
  sandbox: 60_000,
}

/** Why a pod fails; undefined while it may still come up. */
export function diagnosePod(pod: Pod, context: DiagnosisContext): Diagnosis | undefined {
  // evicted, preempted, lost with its node: another takes its place
  if (
    pod.metadata.deletionTimestamp ||
    pod.status.phase === 'Failed' ||
    pod.status.phase === 'Succeeded'
  )
    return undefined
  const inside = () =>
    listPodContainers(pod)
      .map(
        one => diagnoseWaitingContainer(one, pod, context) ?? diagnoseCrashLoop(one, pod, context),
      )
      .find(Boolean)
  const found =
    diagnoseScheduling(pod, context) ??
    inside() ??
    diagnoseVolumeMount(pod, context) ??
    diagnoseSandbox(pod, context)
  return found && { pod: pod.metadata.name, ...found }
}

function explainUnschedulable(message: string, volume: boolean): string {
  if (volume)
    return 'no volume could be created or found: the cluster has no (default) StorageClass, or the volume is in another zone'
  return /Insufficient/.test(message)
    ? 'no node has enough free resources for what the pod requests: add a node, or lower the requests'
    : 'no node matches the pod: its node selector, affinity or tolerations, or no node is ready'
}

function diagnoseScheduling(pod: Pod, context: DiagnosisContext): Diagnosis | undefined {
  const {
    status,
    reason,
    message = '',
    lastTransitionTime,
  } = findCondition(pod, 'PodScheduled') ?? {}
  if (
    status !== 'False' ||
    reason !== 'Unschedulable' ||
    durationMs(lastTransitionTime, context) < failureGraceMs.schedule
  )
    return undefined
  // room is being made: by an autoscaler, by ending less important pods
  if (
    pod.status.nominatedNodeName ||
    listObjectEvents(pod, context).some(one => one.reason === 'TriggeredScaleUp')
  )
    return undefined
  const volume = /PersistentVolumeClaim/i.test(message)
  return {
    reason: 'Unschedulable',
    message,
    likely: explainUnschedulable(message, volume),
    next: volume ? 'kubectl get persistentvolumeclaims,storageclasses' : 'kubectl describe nodes',
  }
}

/** What a container waits for without success. */
function diagnoseWaitingContainer(
  { spec, status }: PodContainer,
  pod: Pod,
  context: DiagnosisContext,
): Diagnosis | undefined {
  const { reason = '', message = '' } = status.state?.waiting ?? {}
  const found = (words: DiagnosisText): Diagnosis => ({
    container: status.name,
    reason,
    message,
    ...words,
  })
  const next = `kubectl describe pod ${pod.metadata.name}`
  const waited = durationMs(pod.status.startTime, context)
  if (imagePullReasons.includes(reason))
    return diagnoseImagePull(
      found,
      `${spec.image}`,
      [message, findPullEvent(listObjectEvents(pod, context))],
      durationMs(containerDueMs(pod, status), context),
    )
  switch (reason) {
    case 'InvalidImageName':
      return found({
        likely: `\`${spec.image}\` is not a valid image name: capitals, a missing variable, two colons?`,
        next,
      })
    case 'ErrImageNeverPull':
      return found({
        likely: `the pod may not pull \`${spec.image}\` (imagePullPolicy: Never), and the node does not have it`,
        next,
      })
    case 'CreateContainerConfigError':
      return /failed to sync \w+ cache/.test(message) || waited < failureGraceMs.config
        ? undefined
        : found(explainConfigError(message, next))
    case 'CreateContainerError':
    case 'RunContainerError':
      if (waited < failureGraceMs.create || isNodeFailure(status.lastState?.terminated))
        return undefined
      return found({
        likely: 'the node cannot start the container: its command, a mount or the node itself',
        next,
      })
    default:
      return undefined
  }
}

/**
 * ms when a container was due to start: its pod was there, and what runs before it had ended, or it
 * had itself.
 */
const containerDueMs = (pod: Pod, { lastState }: ContainerStatus): number =>
  Math.max(
    ...[
      pod.status.startTime,
      lastState?.terminated?.finishedAt,
      ...(pod.status.initContainerStatuses ?? []).map(one => one.state?.terminated?.finishedAt),
    ].map(timestampMs),
  )

function explainConfigError(message: string, next: string): Pick<Diagnosis, 'likely' | 'next'> {
  const [, key, kind, name] =
    /couldn't find key (\S+) in (Secret|ConfigMap) (?:[^/\s]+\/)?(\S+)/.exec(message) ?? []
  const unsealed = kind === 'Secret' ? ': it is not sealed yet, or has another name' : ''
  if (key)
    return {
      likely: `the ${kind} ${name} has no key ${key}${unsealed}`,
      next: `kubectl describe ${kind!.toLowerCase()} ${name}`,
    }
  const [, what, missing] = /(secret|configmap) "([^"]+)" not found/.exec(message) ?? []
  const sealed = 'it is not sealed yet, or could not be unsealed'
  if (what === 'secret')
    return {
      likely: `the Secret ${missing} is not there: ${sealed}`,
      next: 'kubectl get sealedsecrets,secrets',
    }
  if (what)
    return { likely: `the ConfigMap ${missing} is not there`, next: 'kubectl get configmaps' }
  if (/runAsNonRoot/.test(message))
    return {
      likely: 'the image runs as root, and the pod forbids that: set runAsUser',
      next,
    }
  return { likely: 'the container cannot be created from its specification', next }
}

const explainVolumeFailure = (message: string): string =>
  /Multi-Attach/.test(message)
    ? 'the volume is still attached to another node'
    : 'the volume cannot be attached or mounted'

/** Whether nothing of a pod has begun although it has its node: then only the events tell why. */
const isHeldByNode = (pod: Pod): boolean =>
  pod.status.phase === 'Pending' &&
  hasCondition(pod, 'PodScheduled') &&
  !listPodContainers(pod).some(({ status }) => status.state?.running)

/** The pod's own network: before it no container is made, and none says anything. */
function diagnoseSandbox(pod: Pod, context: DiagnosisContext): Diagnosis | undefined {
  const events = listSandboxFailures(pod, context)
  const last = events.at(-1)
  const first = Math.min(...events.map(firstEventMs))
  if (!last || !isHeldByNode(pod) || durationMs(first, context) < failureGraceMs.sandbox)
    return undefined
  const { reason = '', message = '' } = last
  const isFull = /no IP addresses available|failed to (assign|allocate)|no available IP/i.test(
    message,
  )
  const likely = isFull
    ? "the node has no address left for another pod: its network's range is used up"
    : "the node cannot set up the pod's network: its network plug-in fails or does not run"
  return { reason, message, likely, next: `kubectl describe pod ${pod.metadata.name}` }
}

/** Volumes: only the events tell. */
function diagnoseVolumeMount(pod: Pod, context: DiagnosisContext): Diagnosis | undefined {
  if (!isHeldByNode(pod)) return undefined
  const events = listVolumeFailures(pod, context).filter(
    one => !/failed to sync \w+ cache/.test(one.message ?? ''),
  )
  const first = Math.min(...events.map(firstEventMs))
  const last = events.at(-1)
  if (!last || durationMs(first, context) < failureGraceMs.mount) return undefined
  const { message = '', reason = '' } = last
  const [, kind, name] = /(secret|configmap) "([^"]+)" not found/.exec(message) ?? []
  const likely = kind
    ? `the ${kind === 'secret' ? 'Secret' : 'ConfigMap'} ${name} is not there`
    : explainVolumeFailure(message)
  return {
    reason,
    message,
    likely,
    next: kind ? `kubectl get ${kind}s` : `kubectl describe pod ${pod.metadata.name}`,
  }
}

/** Why no pod is made at all: quota, admission. */
export function diagnoseCreation(
  owner: Workload | ReplicaSet | Job,
  context: DiagnosisContext,
): Diagnosis | undefined {
  const { status, message: said, lastTransitionTime } = findCondition(owner, 'ReplicaFailure') ?? {}
  const events = listObjectEvents(owner, context).filter(one => one.reason === 'FailedCreate')
  const message: string = said ?? events.at(-1)?.message ?? ''
  const first =
    status === 'True' ? timestampMs(lastTransitionTime) : Math.min(...events.map(firstEventMs))
  if (!message || durationMs(first, context) < failureGraceMs.quota) return undefined
  const full = "the namespace's quota leaves no room for another pod"
  if (/exceeded quota/.test(message))
    return {
      reason: 'FailedCreate',
      message,
      likely: full,
      next: 'kubectl describe resourcequotas',
    }
  const likely = /violates PodSecurity/.test(message)
    ? 'the namespace allows no pod with these rights'
    : 'the cluster refuses the pods'
  return {
    reason: 'FailedCreate',
    message,
    likely,
    next: `kubectl describe ${owner.kind.toLowerCase()} ${owner.metadata.name}`,
  }
}
