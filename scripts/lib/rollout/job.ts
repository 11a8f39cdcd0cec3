// Judges a Job. Pure.
import { isReady } from '../kubernetes/workload-health.ts'
import type { Manifest as Json } from '../kubernetes/kubectl.ts'
import { diagnoseCreation, diagnosePod } from './failures.ts'
import type { ClusterSnapshot } from './workload.ts'
import {
  timestampMs,
  findCondition,
  listPodContainers,
  type DiagnosisContext,
  type Diagnosis,
} from './objects.ts'
import { isOwnerOf } from './owners.ts'
import { describePodProblem, createWaitingStatus } from './pod.ts'
import { createFailedStatus, type WorkloadStatus } from './status.ts'

/** The verdict on one Job. */
export function jobStatus(
  job: Json,
  { pods }: ClusterSnapshot,
  context: DiagnosisContext,
): WorkloadStatus {
  const is = (type: string) =>
    findCondition(job, type)?.status === 'True' ? findCondition(job, type) : undefined
  if (is('Complete')) return { state: 'ready', detail: 'done' }
  const mine = pods.filter(pod => isOwnerOf(job, pod))
  const end = is('Failed') ?? is('FailureTarget')
  const found = end
    ? diagnoseJob(job, mine, end)
    : (mine.map(pod => diagnosePod(pod, context)).find(Boolean) ?? diagnoseCreation(job, context))
  if (found) return createFailedStatus(job, found)
  return createWaitingStatus(
    mine.map(pod => (isReady(pod) ? '' : describePodProblem(pod, context))).find(Boolean) ||
      (mine.length ? 'runs' : 'has no pod yet'),
    mine,
  )
}

function diagnoseJob(job: Json, pods: Json[], { reason, message }: Record<string, any>): Diagnosis {
  const started = (pod: Json) => timestampMs(pod.status.startTime)
  const pod = pods
    .filter(({ status }) => status.phase === 'Failed')
    .sort((a, b) => started(a) - started(b))
    .at(-1)
  const container =
    pod && listPodContainers(pod).find(({ status }) => status.state?.terminated?.exitCode)
  const late = 'it took longer than it may, or its pods were taken away'
  if (!pod || !container)
    return { reason, message, likely: late, next: `kubectl describe job ${job.metadata.name}` }
  const {
    name,
    state: {
      terminated: { exitCode, reason: end },
    },
  } = container.status
  const likely = 'the job itself has failed, and its log says why'
  const next = `kubectl logs ${pod.metadata.name} --container ${name}`
  return {
    pod: pod.metadata.name,
    container: name,
    reason,
    exitCode,
    message: `${message} (${end}, exit ${exitCode})`,
    likely,
    next,
  }
}
