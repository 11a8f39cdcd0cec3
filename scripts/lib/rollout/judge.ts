// Judges a rollout: a workload and what is around it in, verdict out. Pure. The failure table is in causes.ts.
import { isReady } from '../smoke/cluster-health.ts'
import type { Manifest as Json } from '../cluster/cluster.ts'
import { creationCause, podCause } from './causes.ts'
import { judgeJob } from './job.ts'
import {
  at,
  condition,
  containersOf,
  eventsOf,
  probeWords,
  type Context,
  type Finding,
} from './objects.ts'
import { currentOwner, founded, isOf, isUniform, lacks } from './owners.ts'
import { onTrial, stoodSince, trouble, waiting } from './pod.ts'
import { failed, type Rollout } from './verdict.ts'

export type { Cause, Rollout } from './verdict.ts'

/** Kubernetes objects as the API gives them. */
export interface Observed {
  workloads: Json[]
  pods: Json[]
  replicaSets: Json[]
  events: Json[]
  jobs: Json[]
  /** Restarts that containers had when the watch began, by `<uid of the pod> <container>`. */
  restarts?: Record<string, number>
}

/**
 * The verdict on one workload at `now` (ms, the cluster's clock); `since` is when the change began: what ended before does not count. Of one that
 * the change leaves alone `least` ready pods are enough, though more are wanted.
 */
export function judge(
  workload: Json,
  observed: Observed,
  now: number,
  since: number,
  least = Infinity,
): Rollout {
  // the cluster writes whole seconds
  const { events, restarts = {} } = observed
  const context: Context = {
    now,
    since: Math.floor(since / 1000) * 1000,
    events,
    restarts,
    founded: founded(workload, observed),
  }
  if (workload.kind === 'Job') return judgeJob(workload, observed, context)
  const { status = {}, metadata } = workload
  if ((metadata.generation ?? 0) > (status.observedGeneration ?? 0))
    return { state: 'waiting', detail: 'its change is not taken up yet' }
  const owner = currentOwner(workload, observed)
  if (!owner) return { state: 'waiting', detail: 'its change is not taken up yet' }
  const pods = observed.pods.filter(pod => isOf(pod, owner, workload))
  const ready = pods.filter(isReady)
  const enough = ready.length >= least && isUniform(workload, pods)
  const causes = pods
    .map(pod => podCause(pod, context))
    .filter(one => !(enough && one?.reason === 'Unschedulable'))
  const found =
    causes.find(Boolean) ??
    (enough ? undefined : (creationCause(owner, context) ?? overdue(workload, pods, context)))
  if (found) return failed(workload, found)
  const missing = enough ? '' : lacks(workload)
  const trial = pods.map(pod => onTrial(pod, context)).find(Boolean)
  const more = enough && lacks(workload) ? `, and no more are needed (${lacks(workload)})` : ''
  const detail = `${status.readyReplicas ?? status.numberReady ?? 0} ready${more}`
  if (!missing && !trial)
    return { state: 'ready', detail, since: Math.max(0, ...ready.map(stoodSince)) }
  const troubles = [
    ...new Set(
      pods
        .filter(pod => !isReady(pod))
        .map(pod => trouble(pod, context))
        .filter(Boolean),
    ),
  ]
  return waiting([missing, trial ?? troubles[0]].filter(Boolean).join('; '), pods)
}

/** Not ready within its time: the failing probe, when there is one. */
function overdue(workload: Json, pods: Json[], context: Context): Finding | undefined {
  const limit: number = workload.spec.progressDeadlineSeconds ?? 600
  const { reason, lastUpdateTime } = condition(workload, 'Progressing') ?? {}
  const late = reason === 'ProgressDeadlineExceeded' && at(lastUpdateTime) >= context.since
  if (!(late || context.now - context.since > limit * 1000) || !lacks(workload)) return undefined
  const pod = pods.find(pod => !isReady(pod))
  const container =
    pod &&
    containersOf(pod).find(({ init, status }) => (init ? status.state?.running : !status.ready))
  const probe = pod && container ? probeWords(eventsOf(pod, context), container.spec) : ''
  const message = probe || (pod && trouble(pod, context)) || lacks(workload)
  const waits = 'it takes longer than it may, or waits for something that does not come'
  const likely = probe ? 'the application runs, and does not answer its probe as it should' : waits
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
