// The part of the failure table on pods that the node has ended as a whole: evicted, not admitted,
// out of time. Pure.
import { findCondition, listPodContainers, timestampMs } from '../objects.ts'
import type { ClusterEvent, Pod, Workload } from '../objects.ts'
import { lastEventMs, type Diagnosis, type DiagnosisContext } from './diagnosis.ts'

/** As often a pod must have been ended by its own fault to be a failure: it will be again. */
const ownFaultLimit = 2

/** A pod's own fault; that of a node passes, or another node takes the pod. */
const ownFaultPattern = /exceeds the (total )?limit|exceeded its (local )?ephemeral/i

/** When a pod has failed, ms of the cluster's clock. */
const failedAtMs = (pod: Pod): number =>
  Math.max(
    timestampMs(pod.status.startTime),
    timestampMs(findCondition(pod, 'DisruptionTarget')?.lastTransitionTime),
    ...listPodContainers(pod).map(({ status }) =>
      timestampMs(status.state?.terminated?.finishedAt),
    ),
  )

/** What most likely has ended a pod as a whole. */
function explainPodEnd(reason: string, message: string): string {
  if (ownFaultPattern.test(message))
    return 'it writes more than its limit allows (emptyDir, ephemeral-storage): raise the limit, or find what fills it'
  const resource = /low on resource: ([\w-]+)/.exec(message)?.[1] ?? /^OutOf(\w+)/.exec(reason)?.[1]
  if (resource)
    return `the node ran out of ${resource}: its pods request less than they use, or it is too small`
  return reason === 'DeadlineExceeded'
    ? "it took longer than the pod's activeDeadlineSeconds"
    : 'the node has ended it, and its message says why'
}

const createDiagnosis = (pod: string, reason: string, message: string): Diagnosis => ({
  pod,
  reason,
  message: message.trim(),
  likely: explainPodEnd(reason, message),
  next: `kubectl describe pod ${pod}`,
})

/**
 * Why the node has ended a pod as a whole; undefined when it has not, or its containers ended by
 * themselves.
 */
export function diagnosePodEnd(pod: Pod): Diagnosis | undefined {
  const { phase, reason, message = '' } = pod.status
  return phase === 'Failed' && reason
    ? createDiagnosis(pod.metadata.name, reason, message)
    : undefined
}

/** The pods that a StatefulSet and a DaemonSet call so; they remove those that have failed. */
const podNamePatterns = { StatefulSet: String.raw`-\d+$`, DaemonSet: '-[a-z0-9]{5}$' }

function listEvictions(workload: Workload, { events, since }: DiagnosisContext): ClusterEvent[] {
  if (workload.kind === 'Deployment') return []
  const name = new RegExp(`^${workload.metadata.name}${podNamePatterns[workload.kind]}`)
  return events
    .filter(one => one.reason === 'Evicted' && one.involvedObject.kind === 'Pod')
    .filter(one => name.test(one.involvedObject.name ?? '') && lastEventMs(one) >= since)
    .sort((a, b) => lastEventMs(a) - lastEventMs(b))
}

/** Those of a workload's pods that nodes have ended in this change, the last one last. */
export function listEndedPods(
  workload: Workload,
  pods: Pod[],
  context: DiagnosisContext,
): Diagnosis[] {
  const ended = pods
    .filter(pod => failedAtMs(pod) >= context.since)
    .sort((a, b) => failedAtMs(a) - failedAtMs(b))
    .flatMap(pod => diagnosePodEnd(pod) ?? [])
  const removed = listEvictions(workload, context)
    .filter(one => !ended.some(({ pod }) => pod === one.involvedObject.name))
    .map(one => createDiagnosis(one.involvedObject.name ?? '', 'Evicted', one.message ?? ''))
  return [...removed, ...ended]
}

/** The last of these when their own faults ended as many as make it certain. */
export function diagnoseRepeatedEnds(ended: Diagnosis[]): Diagnosis | undefined {
  const own = ended.filter(({ message }) => ownFaultPattern.test(message))
  return own.length >= ownFaultLimit ? own.at(-1) : undefined
}
