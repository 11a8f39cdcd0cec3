// Judges a Job. Pure.
import { isReady } from '../smoke/cluster-health.ts'
import type { Manifest as Json } from '../cluster/cluster.ts'
import { creationCause, podCause } from './causes.ts'
import type { Observed } from './judge.ts'
import { at, condition, containersOf, type Context, type Finding } from './objects.ts'
import { owns } from './owners.ts'
import { trouble, waiting } from './pod.ts'
import { failed, type Rollout } from './verdict.ts'

/** The verdict on one Job. */
export function judgeJob(job: Json, { pods }: Observed, context: Context): Rollout {
  const is = (type: string) =>
    condition(job, type)?.status === 'True' ? condition(job, type) : undefined
  if (is('Complete')) return { state: 'ready', detail: 'done' }
  const mine = pods.filter(pod => owns(job, pod))
  const end = is('Failed') ?? is('FailureTarget')
  const found = end
    ? jobCause(job, mine, end)
    : (mine.map(pod => podCause(pod, context)).find(Boolean) ?? creationCause(job, context))
  if (found) return failed(job, found)
  return waiting(
    mine.map(pod => (isReady(pod) ? '' : trouble(pod, context))).find(Boolean) ||
      (mine.length ? 'runs' : 'has no pod yet'),
    mine,
  )
}

function jobCause(job: Json, pods: Json[], { reason, message }: Record<string, any>): Finding {
  const started = (pod: Json) => at(pod.status.startTime)
  const pod = pods
    .filter(({ status }) => status.phase === 'Failed')
    .sort((a, b) => started(a) - started(b))
    .at(-1)
  const container =
    pod && containersOf(pod).find(({ status }) => status.state?.terminated?.exitCode)
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
