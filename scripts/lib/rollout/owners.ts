// Which pods are a workload's own, what its numbers lack, and what it may wait for. Pure.
import type { Manifest as Json } from '../cluster/cluster.ts'
import type { Observed } from './judge.ts'
import { at, condition, uid } from './objects.ts'

const owners = (object: Json): { uid: string }[] =>
  (object.metadata as Record<string, any>).ownerReferences ?? []
export const owns = (owner: Json, object: Json) =>
  owners(object).some(one => one.uid === uid(owner))

/** What makes the pods of the version that is wanted; undefined while it is not there. */
export function currentOwner(workload: Json, { replicaSets }: Observed): Json | undefined {
  if (workload.kind !== 'Deployment') return workload
  const revision = 'deployment.kubernetes.io/revision'
  return replicaSets.find(
    one =>
      owns(workload, one) &&
      one.metadata.annotations?.[revision] === workload.metadata.annotations?.[revision],
  )
}

/** Whether a pod is of the version that is wanted: what those of older ones do is of no interest any more. */
export function isOf(pod: Json, owner: Json, { kind, status, metadata }: Json): boolean {
  if (!owns(owner, pod) || pod.metadata.deletionTimestamp) return false
  if (kind === 'StatefulSet')
    return pod.metadata.labels?.['controller-revision-hash'] === status.updateRevision
  const template = metadata.annotations?.['deprecated.daemonset.template.generation']
  return kind !== 'DaemonSet' || pod.metadata.labels?.['pod-template-generation'] === template
}

/** Whether all pods that a workload counts are among these, which are of the version that is wanted. */
export const isUniform = ({ status }: Json, pods: Json[]): boolean =>
  pods.filter(pod => !['Failed', 'Succeeded'].includes(pod.status.phase)).length >=
  (status?.replicas ?? 0)

const order = ({ metadata }: Json) => metadata.annotations?.['kgc.hu/order']

/** Since when (ms) all is there that a workload may wait for: databases wait for nobody, the others for databases and migrations. */
export function founded(workload: Json, { workloads, pods, jobs }: Observed): number | undefined {
  if (order(workload) === 'data') return 0
  const data = workloads.filter(one => order(one) === 'data')
  const gates = jobs.filter(job => order(job) === 'migrate')
  const ended = (type: string) => (job: Json) => condition(job, type)?.status === 'True'
  if (!data.length || gates.some(ended('Failed'))) return undefined
  if (data.some(lacks) || !gates.every(ended('Complete'))) return Infinity
  const times = pods
    .filter(pod => data.some(one => owns(one, pod)))
    .map(pod => condition(pod, 'Ready')?.lastTransitionTime)
  return Math.max(0, ...[...times, ...gates.map(({ status }) => status.completionTime)].map(at))
}

/** What a workload's own numbers still lack; '' when nothing. */
export function lacks({ kind, spec, status = {} }: Json): string {
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
