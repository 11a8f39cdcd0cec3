// Judges a rollout. In: a workload and the objects around it; out: a verdict. Pure. The failure
// table is in failures.ts.
import {
  describeDiagnosis,
  describeProbeFailure,
  listObjectEvents,
  type DiagnosisContext,
  type Diagnosis,
} from '../kubernetes/diagnosis/diagnosis.ts'
import { diagnoseRepeatedEnds, listEndedPods } from '../kubernetes/diagnosis/failed-pod.ts'
import { diagnoseCreation, diagnosePod } from '../kubernetes/diagnosis/failures.ts'
import {
  describePodProblem,
  describeProbation,
  podReadySinceMs,
} from '../kubernetes/diagnosis/pod.ts'
import {
  findCondition,
  isChangeObserved,
  isPodReady,
  listPodContainers,
  timestampMs,
  type ClusterEvent,
  type Job,
  type Pod,
  type ReplicaSet,
  type Workload,
} from '../kubernetes/objects.ts'
import {
  changeNotObserved,
  countReplicas,
  describeMissingReplicas,
} from '../kubernetes/replicas.ts'
import { jobStatus } from './job.ts'
import {
  findCurrentOwner,
  findDependenciesReadySince,
  isCurrentPod,
  isFullyUpdated,
} from './owners.ts'
import { createFailedStatus, createWaitingStatus, type WorkloadStatus } from './status.ts'

/** Kubernetes objects as the API gives them. */
export interface ClusterSnapshot {
  workloads: Workload[]
  pods: Pod[]
  replicaSets: ReplicaSet[]
  events: ClusterEvent[]
  jobs: Job[]
  /** Restarts that containers had when the watch began, by `<uid of the pod> <container>`. */
  restarts?: Record<string, number>
}

/**
 * The verdict on one workload at `now` (ms, the cluster's clock); `since` is when the change began:
 * what ended before does not count. Of one that the change leaves alone `minReadyReplicas` are
 * enough, though more are wanted.
 */
export function workloadStatus(
  workload: Workload | Job,
  observed: ClusterSnapshot,
  now: number,
  since: number,
  minReadyReplicas = Infinity,
): WorkloadStatus {
  // the cluster writes whole seconds
  const { events, restarts = {} } = observed
  const context: DiagnosisContext = {
    now,
    since: Math.floor(since / 1000) * 1000,
    events,
    restarts,
    dependenciesReadySince: findDependenciesReadySince(workload, observed),
  }
  if (workload.kind === 'Job') return jobStatus(workload, observed, context)
  const owner = findCurrentOwner(workload, observed)
  if (!isChangeObserved(workload) || !owner) return { state: 'waiting', detail: changeNotObserved }
  const pods = observed.pods.filter(pod => isCurrentPod(pod, owner, workload))
  const ready = pods.filter(isPodReady)
  const enough = ready.length >= minReadyReplicas && isFullyUpdated(workload, pods)
  const causes = pods
    .map(pod => diagnosePod(pod, context))
    .filter(one => !(enough && one?.reason === 'Unschedulable'))
  const ended = listEndedPods(workload, pods, context)
  const found =
    causes.find(Boolean) ??
    (enough
      ? undefined
      : (diagnoseRepeatedEnds(ended) ??
        diagnoseCreation(owner, context) ??
        diagnoseDeadline(workload, pods, context, ended.at(-1))))
  if (found) return createFailedStatus(workload, found)
  const missing = enough ? '' : describeMissingReplicas(workload)
  const trial = pods.map(pod => describeProbation(pod, context)).find(Boolean)
  const more =
    enough && describeMissingReplicas(workload)
      ? `, and no more are needed (${describeMissingReplicas(workload)})`
      : ''
  const detail = `${countReplicas(workload).ready} ready${more}`
  if (!missing && !trial)
    return { state: 'ready', detail, readySinceMs: Math.max(0, ...ready.map(podReadySinceMs)) }
  const troubles = [
    ...new Set(
      pods
        .filter(pod => !isPodReady(pod) && pod.status.phase !== 'Failed')
        .map(pod => describePodProblem(pod, context))
        .concat(ended.map(describeDiagnosis))
        .filter(Boolean),
    ),
  ]
  return createWaitingStatus([missing, trial ?? troubles[0]].filter(Boolean).join('; '), pods)
}

/** Seconds that Kubernetes gives a Deployment; it knows no such time for the others. */
const progressDeadlineSeconds = (workload: Workload): number =>
  (workload.kind === 'Deployment' ? workload.spec.progressDeadlineSeconds : undefined) ?? 600

/** Not ready within its time: the failing probe, when there is one, or what ended the last pod. */
function diagnoseDeadline(
  workload: Workload,
  pods: Pod[],
  context: DiagnosisContext,
  ended: Diagnosis | undefined,
): Diagnosis | undefined {
  const limit = progressDeadlineSeconds(workload)
  const { reason, lastUpdateTime } = findCondition(workload, 'Progressing') ?? {}
  const late = reason === 'ProgressDeadlineExceeded' && timestampMs(lastUpdateTime) >= context.since
  if (!(late || context.now - context.since > limit * 1000) || !describeMissingReplicas(workload))
    return undefined
  const pod = pods.find(pod => !isPodReady(pod) && pod.status.phase !== 'Failed')
  const container =
    pod &&
    listPodContainers(pod).find(({ init, status }) =>
      init ? status.state?.running : !status.ready,
    )
  const probe =
    pod && container ? describeProbeFailure(listObjectEvents(pod, context), container.spec) : ''
  if (!probe && ended)
    return { ...ended, message: `${ended.message} (not ready within ${limit} s)` }
  const message =
    probe || (pod && describePodProblem(pod, context)) || describeMissingReplicas(workload)
  const waits = 'it takes longer than its deadline, or waits for something that never comes'
  const likely = probe ? 'the application runs, but does not answer its probe correctly' : waits
  const finding = {
    reason: probe ? 'ProbeFails' : 'DeadlineExceeded',
    message: `${message} (not ready within ${limit} s)`,
    likely,
  }
  if (!pod)
    return {
      ...finding,
      next: `kubectl describe ${workload.kind.toLowerCase()} ${workload.metadata.name}`,
    }
  const { name } = pod.metadata
  if (!container) return { ...finding, pod: name, next: `kubectl describe pod ${name}` }
  return {
    ...finding,
    pod: name,
    container: container.status.name,
    next: `kubectl logs ${name} --container ${container.status.name}`,
  }
}
