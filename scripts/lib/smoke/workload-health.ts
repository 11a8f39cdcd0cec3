// Judges the workloads of an environment on Kubernetes as they are now. In: what the overlay wants
// and what the cluster has; out: words. Pure.
import { describeDiagnosis } from '../kubernetes/diagnosis/diagnosis.ts'
import { diagnoseJob } from '../kubernetes/diagnosis/job.ts'
import { describeUnreadyPods } from '../kubernetes/diagnosis/pod.ts'
import {
  hasCondition,
  isChangeObserved,
  resourceId,
  type ClusterEvent,
  type Job,
  type Manifest,
  type Pod,
  type Workload,
} from '../kubernetes/objects.ts'
import {
  changeNotObserved,
  countReplicas,
  describeMissingReplicas,
  minReadyReplicas,
} from '../kubernetes/replicas.ts'

export interface WorkloadHealth {
  ok: boolean
  detail: string
}

/** What the cluster shows of an environment at `now`, ms. */
export interface ObservedEnvironment {
  workloads: (Workload | Job)[]
  pods: Pod[]
  events: ClusterEvent[]
  now: number
}

/** A workload of the overlay, as the cluster shows it with its pods. */
export function workloadHealth(
  wanted: Manifest,
  all: Manifest[],
  { workloads, pods, events, now }: ObservedEnvironment,
): WorkloadHealth {
  const seen = workloads.find(one => resourceId(one) === resourceId(wanted))
  const own = podsOf(wanted, pods)
  const { ok, detail, complete } = judgeWorkload(wanted, all, seen, own)
  const unready = complete ? '' : describeUnreadyPods(own, events, now)
  return { ok, detail: [detail, unready].filter(Boolean).join('; ') }
}

/** `complete`: there is nothing to be said of its pods. */
type Judgement = WorkloadHealth & { complete: boolean }
const good = (detail: string, complete = true): Judgement => ({ ok: true, detail, complete })
const bad = (detail: string): Judgement => ({ ok: false, detail, complete: false })

function judgeWorkload(
  wanted: Manifest,
  all: Manifest[],
  seen: Workload | Job | undefined,
  pods: Pod[],
): Judgement {
  if (!seen) return judgeMissing(wanted)
  if (seen.kind === 'Job') return judgeJob(seen, pods)
  if (!isChangeObserved(seen)) return bad(changeNotObserved)
  const counts = countReplicas(seen)
  const daemon = seen.kind === 'DaemonSet'
  const least = daemon ? 1 : minReadyReplicas(wanted, all)
  if (counts.wanted < least)
    return bad(`scaled to ${counts.wanted}, at least ${least} in the overlay`)
  // what is wanted beyond the least, by an autoscaler, may find no room
  const needed = daemon ? counts.wanted : least
  if (counts.ready < needed || counts.updated < counts.present)
    return bad(describeMissingReplicas(seen))
  return good(`${counts.ready} of ${counts.wanted} ready`, counts.ready >= counts.wanted)
}

/** A Job goes some time after its end, and those that wait for it would not be ready without it. */
function judgeMissing({ kind, spec }: Manifest): Judgement {
  const seconds: number | undefined = kind === 'Job' ? spec.ttlSecondsAfterFinished : undefined
  return seconds === undefined
    ? bad('not created')
    : good(`not there; it is removed ${seconds} s after its end`)
}

function judgeJob(job: Job, pods: Pod[]): Judgement {
  if (hasCondition(job, 'Complete')) return good('done')
  const failed = diagnoseJob(job, pods)
  return bad(failed ? describeDiagnosis(failed) : 'not done yet')
}

/** The pods that a workload's selector means; those of a Job carry its name. */
export function podsOf(workload: Manifest, pods: Pod[]): Pod[] {
  const job = { 'batch.kubernetes.io/job-name': workload.metadata.name }
  const labels: Record<string, string> =
    workload.kind === 'Job' ? job : (workload.spec.selector?.matchLabels ?? {})
  return pods.filter(({ metadata }) =>
    Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value),
  )
}
