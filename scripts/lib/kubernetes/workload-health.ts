// Judges the workloads of an environment on Kubernetes as they are now: what the overlay wants and
// what the cluster shows in, words out. Pure.
import type { Manifest } from './kubectl.ts'

export interface WorkloadHealth {
  ok: boolean
  detail: string
}

/** How many pods there must be at the least; where an autoscaler is, its minimum. */
export function minReadyReplicas(wanted: Manifest, all: Manifest[]): number {
  const scales = ({ scaleTargetRef: { kind, name } }: Manifest['spec']) =>
    kind === wanted.kind && name === wanted.metadata.name
  const scaler = all.find(({ kind, spec }) => kind === 'HorizontalPodAutoscaler' && scales(spec))
  return scaler ? (scaler.spec.minReplicas ?? 1) : (wanted.spec.replicas ?? 1)
}

/** A workload of the overlay, as the cluster shows it with its pods. */
export function workloadHealth(
  wanted: Manifest,
  all: Manifest[],
  seen: Manifest | undefined,
  pods: Manifest[],
): WorkloadHealth {
  const { spec } = wanted
  if (wanted.kind === 'Job') return judgeJob(seen, spec.ttlSecondsAfterFinished, pods)
  if (!seen) return { ok: false, detail: 'not created' }
  const { status = {}, metadata } = seen
  const bad = (detail: string) => ({
    ok: false,
    detail: [detail, troubles(pods)].filter(Boolean).join('; '),
  })
  if ((metadata.generation ?? 0) > (status.observedGeneration ?? 0))
    return bad('its last change is not taken up yet')
  const daemon = wanted.kind === 'DaemonSet'
  const count: number = daemon ? status.desiredNumberScheduled : (seen.spec.replicas ?? 1)
  const least = daemon ? 1 : minReadyReplicas(wanted, all)
  if (count < least) return bad(`scaled to ${count}, ${least} at the least in the overlay`)
  const ready = (daemon ? status.numberReady : status.readyReplicas) ?? 0
  // what is wanted beyond the least, by an autoscaler, may find no room
  if (ready < (daemon ? count : least)) return bad(`${ready} of ${count} ready`)
  // while a Deployment is being replaced, the ready ones may all be old
  const there: number = (daemon ? count : status.replicas) ?? 0
  const current = (daemon ? status.updatedNumberScheduled : status.updatedReplicas) ?? 0
  // a StatefulSet counts no updated pods while nothing is being replaced
  const settled = wanted.kind === 'StatefulSet' && status.currentRevision === status.updateRevision
  if (current < there && !settled)
    return bad(`${there - current} of ${there} pods still of the version before`)
  return {
    ok: true,
    detail: [`${ready} of ${count} ready`, ready < count ? troubles(pods) : '']
      .filter(Boolean)
      .join('; '),
  }
}

function judgeJob(
  seen: Manifest | undefined,
  ttl: number | undefined,
  pods: Manifest[],
): WorkloadHealth {
  // whoever waits for it does not become ready without it
  if (!seen)
    return ttl === undefined
      ? { ok: false, detail: 'not created' }
      : { ok: true, detail: `not there; it goes ${ttl} s after its end` }
  const condition = (type: string) =>
    seen.status?.conditions?.find(
      (one: { type: string; status: string }) => one.type === type && one.status === 'True',
    )
  const failed = condition('Failed')
  if (failed)
    return {
      ok: false,
      detail: ['has failed', failed.message, troubles(pods)].filter(Boolean).join('; '),
    }
  return condition('Complete')
    ? { ok: true, detail: 'done' }
    : { ok: false, detail: ['has not ended', troubles(pods)].filter(Boolean).join('; ') }
}

/** Whether a pod is ready and not on its way out. */
export const isReady = ({ metadata, status }: Manifest): boolean =>
  !metadata.deletionTimestamp &&
  Boolean(
    status.conditions?.some(
      (one: { type: string; status: string }) => one.type === 'Ready' && one.status === 'True',
    ),
  )

/** The pods that a workload's selector means; those of a Job carry its name. */
export function podsOf(workload: Manifest, pods: Manifest[]): Manifest[] {
  const job = { 'batch.kubernetes.io/job-name': workload.metadata.name }
  const labels: Record<string, string> =
    workload.kind === 'Job' ? job : (workload.spec.selector?.matchLabels ?? {})
  return pods.filter(({ metadata }) =>
    Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value),
  )
}

/** Why pods are not ready, the first reason of each; '' when none says. */
function troubles(pods: Manifest[]): string {
  const words = pods
    .filter(pod => !isReady(pod) && pod.status.phase !== 'Succeeded')
    .map(pod => {
      const { metadata, status } = pod
      const containers = [
        ...(status.initContainerStatuses ?? []),
        ...(status.containerStatuses ?? []),
      ]
      const unscheduled = status.conditions?.find(
        (one: { reason?: string }) => one.reason === 'Unschedulable',
      )?.message
      const why =
        unscheduled ??
        containers.map(reason).find(Boolean) ??
        (status.phase === 'Running' ? 'its readiness probe fails' : status.phase)
      return `${metadata.name}: ${why}`
    })
  return [...new Set(words)].slice(0, 3).join(', ')
}

function reason({
  state = {},
  lastState = {},
  restartCount = 0,
}: Record<string, any>): string | undefined {
  const ended = state.terminated ?? lastState.terminated
  // a crash loop shows the waiting reason for a moment only
  if (ended && (ended.exitCode !== 0 || restartCount))
    return `${ended.reason ?? 'ended'}, exit ${ended.exitCode}, ${restartCount} restarts`
  const { reason, message } = state.waiting ?? {}
  if (!reason || reason === 'PodInitializing' || reason === 'ContainerCreating') return undefined
  return message ? `${reason}: ${message}` : reason
}
