// Why a Job has failed. Pure.
import { findCondition, hasCondition, listPodContainers, timestampMs } from '../objects.ts'
import type { Job, Pod } from '../objects.ts'
import type { Diagnosis } from './diagnosis.ts'

/** Why a Job has failed, as its own pods show; undefined while it has not. */
export function diagnoseJob(job: Job, pods: Pod[]): Diagnosis | undefined {
  const end = ['Failed', 'FailureTarget'].find(type => hasCondition(job, type))
  if (!end) return undefined
  const { reason = '', message = '' } = findCondition(job, end) ?? {}
  const pod = findLastFailedPod(pods)
  const container =
    pod && listPodContainers(pod).find(({ status }) => status.state?.terminated?.exitCode)
  const { exitCode = 0, reason: how = '' } = container?.status.state?.terminated ?? {}
  const late = 'it exceeded its deadline, or its pods were deleted'
  if (!pod || !container)
    return { reason, message, likely: late, next: `kubectl describe job ${job.metadata.name}` }
  return {
    pod: pod.metadata.name,
    container: container.status.name,
    reason,
    exitCode,
    message: `${message} (${how}, exit ${exitCode})`,
    likely: 'the job itself has failed, and its log says why',
    next: `kubectl logs ${pod.metadata.name} --container ${container.status.name}`,
  }
}

const findLastFailedPod = (pods: Pod[]): Pod | undefined =>
  pods
    .filter(({ status }) => status.phase === 'Failed')
    .sort((a, b) => timestampMs(a.status.startTime) - timestampMs(b.status.startTime))
    .at(-1)
