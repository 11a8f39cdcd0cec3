// Which pods belong to a workload, how many are missing, and what it may wait for. Pure.
import {
  findCondition,
  hasCondition,
  isOwnerOf,
  timestampMs,
  type Job,
  type Pod,
  type ReplicaSet,
  type Workload,
} from '../kubernetes/objects.ts'
import { countReplicas, describeMissingReplicas } from '../kubernetes/replicas.ts'
import type { ClusterSnapshot } from './workload.ts'

/** What makes the pods of the version that is wanted; undefined while it is not there. */
export function findCurrentOwner(
  workload: Workload,
  { replicaSets }: ClusterSnapshot,
): Workload | ReplicaSet | undefined {
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
export function isCurrentPod(pod: Pod, owner: Workload | ReplicaSet, workload: Workload): boolean {
  if (!isOwnerOf(owner, pod) || pod.metadata.deletionTimestamp) return false
  if (workload.kind === 'StatefulSet')
    return pod.metadata.labels?.['controller-revision-hash'] === workload.status.updateRevision
  const template = workload.metadata.annotations?.['deprecated.daemonset.template.generation']
  return (
    workload.kind !== 'DaemonSet' || pod.metadata.labels?.['pod-template-generation'] === template
  )
}

/**
 * Whether all pods that a workload counts are among these, which are of the version that is wanted.
 */
export const isFullyUpdated = (workload: Workload, pods: Pod[]): boolean =>
  pods.filter(pod => !['Failed', 'Succeeded'].includes(pod.status.phase ?? '')).length >=
  countReplicas(workload).present

const orderAnnotation = ({ metadata }: Workload | Job) => metadata.annotations?.['kgc.hu/order']

/**
 * Since when (ms) all is there that a workload may wait for: databases wait for nobody, the others
 * for databases and migrations.
 */
export function findDependenciesReadySince(
  workload: Workload | Job,
  { workloads, pods, jobs }: ClusterSnapshot,
): number | undefined {
  if (orderAnnotation(workload) === 'data') return 0
  const data = workloads.filter(one => orderAnnotation(one) === 'data')
  const gates = jobs.filter(job => orderAnnotation(job) === 'migrate')
  const ended = (type: string) => (job: Job) => hasCondition(job, type)
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
