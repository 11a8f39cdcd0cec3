// The words for a rollout's state.
import { describeDiagnosis, type Diagnosis } from '../kubernetes/diagnosis/diagnosis.ts'
import { findLogSource } from '../kubernetes/diagnosis/pod.ts'
import type { Job, Pod, Workload } from '../kubernetes/objects.ts'

/**
 * Why a workload fails, with all that a person needs to know. `next` begins with kubectl when it is
 * one of its commands.
 */
export interface FailureCause {
  application: string
  kind: string
  name: string
  /** '' when there is none. */
  pod: string
  container: string
  reason: string
  exitCode?: number
  message: string
  likely: string
  next: string
  /** `its log: …`, as it was last read before the pod was removed. */
  lastLogLine?: string
}

export interface WorkloadStatus {
  state: 'waiting' | 'ready' | 'failed'
  detail: string
  cause?: FailureCause
  /** Whose log says what is waited for, when one of its containers runs. */
  logSource?: { pod: string; container: string }
  /** ms of the cluster's clock since when all its pods have been ready, when they are. */
  readySinceMs?: number
}

/** The verdict that a workload fails, with its cause. */
export function createFailedStatus(
  { kind, metadata }: Workload | Job,
  found: Diagnosis,
): WorkloadStatus {
  const { 'app.kubernetes.io/part-of': whole, 'app.kubernetes.io/name': name } =
    metadata.labels ?? {}
  const cause: FailureCause = {
    application: whole ?? name ?? metadata.name,
    kind,
    name: metadata.name,
    pod: '',
    container: '',
    ...found,
  }
  return { state: 'failed', detail: describeDiagnosis(found), cause }
}

/** The verdict that these pods are waited for. */
export function createWaitingStatus(detail: string, pods: Pod[]): WorkloadStatus {
  const logSource = findLogSource(pods)
  return { state: 'waiting', detail, ...(logSource ? { logSource } : {}) }
}
