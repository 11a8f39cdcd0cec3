// How many pods a workload has, and how many it must have. Pure.
import type { Manifest, Workload } from './objects.ts'

/** Of a workload whose controller does not know its last change. */
export const changeNotObserved = 'its controller has not seen the change yet'

export interface ReplicaCounts {
  wanted: number
  /** Of whatever version. */
  present: number
  updated: number
  ready: number
  available: number
}

/** The pods of a workload, as its status counts them. */
export function countReplicas(workload: Workload): ReplicaCounts {
  if (workload.kind === 'DaemonSet') {
    const { status } = workload
    return {
      wanted: status.desiredNumberScheduled,
      // what it replaces it removes first
      present: status.desiredNumberScheduled,
      updated: status.updatedNumberScheduled ?? 0,
      ready: status.numberReady,
      available: status.numberAvailable ?? 0,
    }
  }
  const { spec, status } = workload
  const present = status.replicas ?? 0
  return {
    wanted: spec.replicas ?? 1,
    present,
    // a StatefulSet counts no updated pods while nothing is being replaced
    updated: isStatefulSetSettled(workload) ? present : (status.updatedReplicas ?? 0),
    ready: status.readyReplicas ?? 0,
    available: status.availableReplicas ?? 0,
  }
}

const isStatefulSetSettled = (workload: Workload): boolean =>
  workload.kind === 'StatefulSet' &&
  workload.status.currentRevision === workload.status.updateRevision

/** What a workload's own numbers still lack; '' when nothing. */
export function describeMissingReplicas(workload: Workload): string {
  const { wanted, present, updated, ready, available } = countReplicas(workload)
  if (updated < wanted) return `${updated} of ${wanted} of the new version`
  if (ready < wanted) return `${ready} of ${wanted} ready`
  if (available < wanted)
    return `ready, and must stay so for ${workload.spec.minReadySeconds ?? 0} s`
  const old = present - Math.max(updated, wanted)
  return old > 0 ? `${old} of the old version still there` : ''
}

/** How many pods there must be at least; where an autoscaler is, its minimum. */
export function minReadyReplicas(wanted: Manifest, all: Manifest[]): number {
  const scales = ({ scaleTargetRef: { kind, name } }: Manifest['spec']) =>
    kind === wanted.kind && name === wanted.metadata.name
  const scaler = all.find(({ kind, spec }) => kind === 'HorizontalPodAutoscaler' && scales(spec))
  return scaler ? (scaler.spec.minReplicas ?? 1) : (wanted.spec.replicas ?? 1)
}
