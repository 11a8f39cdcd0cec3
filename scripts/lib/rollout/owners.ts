// Which pods are a workload's own, what its numbers lack, and what it may wait for. Pure.
import type { Manifest as Json } from '../kubernetes/kubectl.ts'
import type { ClusterSnapshot } from './workload.ts'
import { timestampMs, findCondition, uidOf } from './objects.ts'

const ownerReferences = (object: Json): { uid: string }[] =>
  (object.metadata as Record<string, any>).ownerReferences ?? []
export const isOwnerOf = (owner: Json, object: Json) =>
  ownerReferences(object).some(one => one.uid === uidOf(owner))

/** What makes the pods of the version that is wanted; undefined while it is not there. */
export function findCurrentOwner(
  workload: Json,
  { replicaSets }: ClusterSnapshot,
): Json | undefined {
  if (workload.kind !== 'Deployment') return workload
  const revision = 'deployment.kubernetes.io/revision'
  return replicaSets.find(
    one =>
      isOwnerOf(workload, one) &&
      one.metadata.annotations?.[revision] === workload.metadata.annotations?.[revision],
  )
}

/**
 * Whether a pod is of the version that is wanted: what those of older ones do is of no interest any
 * more.
 */
export function isCurrentPod(pod: Json, owner: Json, { kind, status, metadata }: Json): boolean {
  if (!isOwnerOf(owner, pod) || pod.metadata.deletionTimestamp) return false
  if (kind === 'StatefulSet')
    return pod.metadata.labels?.['controller-revision-hash'] === status.updateRevision
  const template = metadata.annotations?.['deprecated.daemonset.template.generation']
  return kind !== 'DaemonSet' || pod.metadata.labels?.['pod-template-generation'] === template
}

/**
 * Whether all pods that a workload counts are among these, which are of the version that is wanted.
 */
export const isFullyUpdated = ({ status }: Json, pods: Json[]): boolean =>
  pods.filter(pod => !['Failed', 'Succeeded'].includes(pod.status.phase)).length >=
  (status?.replicas ?? 0)

const orderAnnotation = ({ metadata }: Json) => metadata.annotations?.['kgc.hu/order']

/**
 * Since when (ms) all is there that a workload may wait for: databases wait for nobody, the others
 * for databases and migrations.
 */
export function findDependenciesReadySince(
  workload: Json,
  { workloads, pods, jobs }: ClusterSnapshot,
): number | undefined {
  if (orderAnnotation(workload) === 'data') return 0
  const data = workloads.filter(one => orderAnnotation(one) === 'data')
  const gates = jobs.filter(job => orderAnnotation(job) === 'migrate')
  const ended = (type: string) => (job: Json) => findCondition(job, type)?.status === 'True'
  if (!data.length || gates.some(ended('Failed'))) return undefined
  if (data.some(describeMissingReplicas) || !gates.every(ended('Complete'))) return Infinity
  const times = pods
    .filter(pod => data.some(one => isOwnerOf(one, pod)))
    .map(pod => findCondition(pod, 'Ready')?.lastTransitionTime)
  return Math.max(
    0,
    ...[...times, ...gates.map(({ status }) => status.completionTime)].map(timestampMs),
  )
}

/** What a workload's own numbers still lack; '' when nothing. */
export function describeMissingReplicas({ kind, spec, status = {} }: Json): string {
  const daemon = kind === 'DaemonSet'
  const want: number = daemon ? status.desiredNumberScheduled : (spec.replicas ?? 1)
  // a StatefulSet counts no updated pods while nothing is being replaced
  const settled = kind === 'StatefulSet' && status.currentRevision === status.updateRevision
  const updated: number = settled
    ? (status.replicas ?? 0)
    : ((daemon ? status.updatedNumberScheduled : status.updatedReplicas) ?? 0)
  const available: number = (daemon ? status.numberAvailable : status.availableReplicas) ?? 0
  const ready: number = (daemon ? status.numberReady : status.readyReplicas) ?? 0
  if (updated < want) return `${updated} of ${want} of the new version`
  if (ready < want) return `${ready} of ${want} ready`
  if (available < want) return `ready, and must stay so for ${spec.minReadySeconds} s`
  const old = daemon ? 0 : (status.replicas ?? 0) - Math.max(updated, want)
  return old > 0 ? `${old} of the version before still there` : ''
}
