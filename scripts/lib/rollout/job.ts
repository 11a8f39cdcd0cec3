// Judges a Job. Pure.
import { diagnoseJob } from '../kubernetes/diagnosis/job.ts'
import type { DiagnosisContext } from '../kubernetes/diagnosis/diagnosis.ts'
import { diagnoseCreation, diagnosePod } from '../kubernetes/diagnosis/failures.ts'
import { describePodProblem } from '../kubernetes/diagnosis/pod.ts'
import { hasCondition, isOwnerOf, isPodReady, type Job } from '../kubernetes/objects.ts'
import type { ClusterSnapshot } from './workload.ts'
import { createFailedStatus, createWaitingStatus, type WorkloadStatus } from './status.ts'

/** The verdict on one Job. */
export function jobStatus(
  job: Job,
  { pods }: ClusterSnapshot,
  context: DiagnosisContext,
): WorkloadStatus {
  if (hasCondition(job, 'Complete')) return { state: 'ready', detail: 'done' }
  const mine = pods.filter(pod => isOwnerOf(job, pod))
  const found =
    diagnoseJob(job, mine) ??
    mine.map(pod => diagnosePod(pod, context)).find(Boolean) ??
    diagnoseCreation(job, context)
  if (found) return createFailedStatus(job, found)
  return createWaitingStatus(
    mine.map(pod => (isPodReady(pod) ? '' : describePodProblem(pod, context))).find(Boolean) ||
      (mine.length ? 'runs' : 'has no pod yet'),
    mine,
  )
}
