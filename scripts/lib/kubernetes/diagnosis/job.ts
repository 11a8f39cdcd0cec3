// Why a Job has failed. Pure.
import { findCondition, hasCondition, listPodContainers, timestampMs } from '../objects.ts'
import type { Job, Pod, PodContainer } from '../objects.ts'
import { explainTermination } from './crash-loop.ts'
import { describeDiagnosis, type Diagnosis } from './diagnosis.ts'
import { diagnosePodEnd } from './failed-pod.ts'

/** Why a Job has failed, as its own pods show; undefined while it has not. */
export function diagnoseJob(job: Job, pods: Pod[]): Diagnosis | undefined {
  const end = ['Failed', 'FailureTarget'].find(type => hasCondition(job, type))
  if (!end) return undefined
  const { reason = '', message: said = '' } = findCondition(job, end) ?? {}
  const late = reason === 'DeadlineExceeded'
  const limit = job.spec.activeDeadlineSeconds
  const message = late && limit ? `${said} (${limit} s)` : said
  const found = findLastPod(pods, late ? isRunning : hasFailed)
  const next = `kubectl describe job ${job.metadata.name}`
  if (late) return { ...nameContainer(found, next), reason, message, likely: tooLate }
  const ended = found && diagnosePodEnd(found.pod)
  if (ended) return { ...ended, reason, message: `${message} (${describeDiagnosis(ended)})` }
  if (!found?.container)
    return { reason, message, likely: 'its pods were deleted, or none could be made', next }
  const { spec, status } = found.container
  const terminated = status.state!.terminated!
  return {
    ...nameContainer(found, next),
    reason,
    exitCode: terminated.exitCode,
    message: `${message} (${terminated.reason ?? ''}, exit ${terminated.exitCode})`,
    likely: explainTermination(terminated, spec, 'the job itself has failed, and its log says why'),
  }
}

const tooLate =
  'it was ended when its activeDeadlineSeconds were over: it needs more time, or waits for something that never comes'

interface FoundPod {
  pod: Pod
  container: PodContainer | undefined
}

const hasFailed = ({ status }: PodContainer) => Boolean(status.state?.terminated?.exitCode)
// a pod whose time is over still runs for its grace period
const isRunning = (one: PodContainer) => Boolean(one.status.state?.running) || hasFailed(one)

/** Of the pods that have failed or have such a container the one that was started last. */
const findLastPod = (
  pods: Pod[],
  tells: (container: PodContainer) => boolean,
): FoundPod | undefined =>
  pods
    .map(pod => ({ pod, container: listPodContainers(pod).find(tells) }))
    .filter(
      ({ pod, container }) => pod.status.phase === 'Failed' || (container && tells === isRunning),
    )
    .sort((a, b) => timestampMs(a.pod.status.startTime) - timestampMs(b.pod.status.startTime))
    .at(-1)

function nameContainer(
  found: FoundPod | undefined,
  next: string,
): Pick<Diagnosis, 'pod' | 'container' | 'next'> {
  if (!found?.container) return { next }
  const [pod, container] = [found.pod.metadata.name, found.container.status.name]
  return { pod, container, next: `kubectl logs ${pod} --container ${container}` }
}
