// Judges a rollout: a workload and what is around it in, verdict out. Pure. The failure table is in rollout-causes.ts.
import { isReady } from './cluster-health.ts'
import type { Manifest as Json } from './cluster.ts'
import { creationCause, podCause } from './rollout-causes.ts'
import { lastEnd, lifetime } from './rollout-crash.ts'
import { at, condition, containersOf, eventsOf, probeWords, uid, type Context, type Finding } from './rollout-objects.ts'

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

/** Why a workload fails, with all that a person needs to know. `next` begins with kubectl when it is one of its commands. */
export interface Cause {
  application: string
  kind: string
  name: string
  /** '' when there is none. */
  pod: string
  container: string
  reason: string
  exitCode?: number
  message: string
  likely: string
  next: string
}

export type Rollout = { state: 'waiting' | 'ready' | 'failed'; detail: string; cause?: Cause }

/** ms that a container which has ended must at the most run to be believed. */
const longestTrial = 60_000

/** The verdict on one workload at `now` (ms, the cluster's clock); `since` is when the change began: what ended before does not count. */
export function judge(workload: Json, observed: Observed, now: number, since: number): Rollout {
  // the cluster writes whole seconds
  const { events, restarts = {} } = observed
  const context: Context = { now, since: Math.floor(since / 1000) * 1000, events, restarts, founded: founded(workload, observed) }
  if (workload.kind === 'Job') return judgeJob(workload, observed, context)
  const { status = {}, metadata } = workload
  if ((metadata.generation ?? 0) > (status.observedGeneration ?? 0)) return { state: 'waiting', detail: 'its change is not taken up yet' }
  const owner = currentOwner(workload, observed)
  if (!owner) return { state: 'waiting', detail: 'its change is not taken up yet' }
  const pods = observed.pods.filter(pod => isOf(pod, owner, workload))
  const found = pods.map(pod => podCause(pod, context)).find(Boolean) ?? creationCause(owner, context) ?? overdue(workload, pods, context)
  if (found) return failed(workload, found)
  const missing = lacks(workload)
  const trial = pods.map(pod => onTrial(pod, context)).find(Boolean)
  if (!missing && !trial) return { state: 'ready', detail: `${status.readyReplicas ?? status.numberReady ?? 0} ready` }
  const troubles = [...new Set(pods.filter(pod => !isReady(pod)).map(pod => trouble(pod, context)).filter(Boolean))]
  return { state: 'waiting', detail: [missing, trial ?? troubles[0]].filter(Boolean).join('; ') }
}

const owners = (object: Json): { uid: string }[] => (object.metadata as Record<string, any>).ownerReferences ?? []
const owns = (owner: Json, object: Json) => owners(object).some(one => one.uid === uid(owner))

/** What makes the pods of the version that is wanted; undefined while it is not there. */
function currentOwner(workload: Json, { replicaSets }: Observed): Json | undefined {
  if (workload.kind !== 'Deployment') return workload
  const revision = 'deployment.kubernetes.io/revision'
  return replicaSets.find(one => owns(workload, one) && one.metadata.annotations?.[revision] === workload.metadata.annotations?.[revision])
}

/** Whether a pod is of the version that is wanted: what those of older ones do is of no interest any more. */
function isOf(pod: Json, owner: Json, { kind, status, metadata }: Json): boolean {
  if (!owns(owner, pod) || pod.metadata.deletionTimestamp) return false
  if (kind === 'StatefulSet') return pod.metadata.labels?.['controller-revision-hash'] === status.updateRevision
  const template = metadata.annotations?.['deprecated.daemonset.template.generation']
  return kind !== 'DaemonSet' || pod.metadata.labels?.['pod-template-generation'] === template
}

const order = ({ metadata }: Json) => metadata.annotations?.['kgc.hu/order']

/** Since when (ms) all is there that a workload may wait for: databases wait for nobody, the others for databases and migrations. */
function founded(workload: Json, { workloads, pods, jobs }: Observed): number | undefined {
  if (order(workload) === 'data') return 0
  const data = workloads.filter(one => order(one) === 'data')
  const gates = jobs.filter(job => order(job) === 'migrate')
  const ended = (type: string) => (job: Json) => condition(job, type)?.status === 'True'
  if (!data.length || gates.some(ended('Failed'))) return undefined
  if (data.some(lacks) || !gates.every(ended('Complete'))) return Infinity
  const times = pods.filter(pod => data.some(one => owns(one, pod))).map(pod => condition(pod, 'Ready')?.lastTransitionTime)
  return Math.max(0, ...[...times, ...gates.map(({ status }) => status.completionTime)].map(at))
}

/** What a workload's own numbers still lack; '' when nothing. */
function lacks({ kind, spec, status = {} }: Json): string {
  const daemon = kind === 'DaemonSet'
  const want: number = daemon ? status.desiredNumberScheduled : (spec.replicas ?? 1)
  // a StatefulSet counts no updated pods while nothing is being replaced
  const settled = kind === 'StatefulSet' && status.currentRevision === status.updateRevision
  const updated: number = settled ? (status.replicas ?? 0) : ((daemon ? status.updatedNumberScheduled : status.updatedReplicas) ?? 0)
  const available: number = (daemon ? status.numberAvailable : status.availableReplicas) ?? 0
  const ready: number = (daemon ? status.numberReady : status.readyReplicas) ?? 0
  if (updated < want) return `${updated} of ${want} of the new version`
  if (ready < want) return `${ready} of ${want} ready`
  if (available < want) return `ready, and must stay so for ${spec.minReadySeconds} s`
  const old = daemon ? 0 : (status.replicas ?? 0) - Math.max(updated, want)
  return old > 0 ? `${old} of the version before still there` : ''
}

/** A container that has ended and runs again is believed once it has lived longer than the last time. */
function onTrial(pod: Json, context: Context): string | undefined {
  const trials = containersOf(pod).filter(({ init, status }) => !init && status.state?.running).map(container => {
    const ended = lastEnd(container, context)
    if (!ended || context.now - at(container.status.state.running.startedAt) > Math.min(lifetime(ended) + 5_000, longestTrial)) return undefined
    return `${container.status.name} ended with exit ${ended.exitCode} and runs again`
  })
  return trials.find(Boolean)
}

/** What a pod that is not ready does; '' when it shows nothing. */
function trouble(pod: Json, context: Context): string {
  if (pod.status.phase === 'Succeeded') return ''
  const events = eventsOf(pod, context)
  const scheduled = condition(pod, 'PodScheduled')
  if (scheduled?.status === 'False') return `${scheduled.reason}: ${scheduled.message}`
  const words = containersOf(pod).map(container => {
    const { init, spec, status } = container
    const { running, terminated, waiting } = status.state ?? {}
    if (init && running) return `${status.name} runs first`
    const ended = lastEnd(container, context)
    if (ended && (terminated || waiting)) return `${status.name} ended with exit ${ended.exitCode}`
    if (running && !status.ready) return probeWords(events, spec) || `${status.name} starts`
    if (waiting && !['ContainerCreating', 'PodInitializing'].includes(waiting.reason)) return `${status.name}: ${waiting.reason}`
    return ''
  })
  const volume = events.filter(one => /^Failed(Mount|AttachVolume)$/.test(one.reason)).at(-1)?.message
  return words.find(Boolean) || (volume && pod.status.phase === 'Pending' ? volume : '')
}

/** Not ready within its time: the failing probe, when there is one. */
function overdue(workload: Json, pods: Json[], context: Context): Finding | undefined {
  const limit: number = workload.spec.progressDeadlineSeconds ?? 600
  const { reason, lastUpdateTime } = condition(workload, 'Progressing') ?? {}
  const late = reason === 'ProgressDeadlineExceeded' && at(lastUpdateTime) >= context.since
  if (!(late || context.now - context.since > limit * 1000) || !lacks(workload)) return undefined
  const pod = pods.find(pod => !isReady(pod))
  const container = pod && containersOf(pod).find(({ init, status }) => (init ? status.state?.running : !status.ready))
  const probe = pod && container ? probeWords(eventsOf(pod, context), container.spec) : ''
  const message = probe || (pod && trouble(pod, context)) || lacks(workload)
  const waits = 'it takes longer than it may, or waits for something that does not come'
  const likely = probe ? 'the application runs, and does not answer its probe as it should' : waits
  const finding = { reason: probe ? 'ProbeFails' : 'DeadlineExceeded', message: `${message} (not ready within ${limit} s)`, likely }
  if (!pod) return { ...finding, next: `kubectl describe ${workload.kind.toLowerCase()} ${workload.metadata.name}` }
  const { name } = pod.metadata
  if (!container) return { ...finding, pod: name, next: `kubectl describe pod ${name}` }
  return { ...finding, pod: name, container: container.status.name, next: `kubectl logs ${name} --container ${container.status.name}` }
}

function judgeJob(job: Json, { pods }: Observed, context: Context): Rollout {
  const is = (type: string) => (condition(job, type)?.status === 'True' ? condition(job, type) : undefined)
  if (is('Complete')) return { state: 'ready', detail: 'done' }
  const mine = pods.filter(pod => owns(job, pod))
  const end = is('Failed') ?? is('FailureTarget')
  const found = end ? jobCause(job, mine, end) : (mine.map(pod => podCause(pod, context)).find(Boolean) ?? creationCause(job, context))
  if (found) return failed(job, found)
  return { state: 'waiting', detail: mine.map(pod => (isReady(pod) ? '' : trouble(pod, context))).find(Boolean) || (mine.length ? 'runs' : 'has no pod yet') }
}

function jobCause(job: Json, pods: Json[], { reason, message }: Record<string, any>): Finding {
  const started = (pod: Json) => at(pod.status.startTime)
  const pod = pods.filter(({ status }) => status.phase === 'Failed').sort((a, b) => started(a) - started(b)).at(-1)
  const container = pod && containersOf(pod).find(({ status }) => status.state?.terminated?.exitCode)
  const late = 'it took longer than it may, or its pods were taken away'
  if (!pod || !container) return { reason, message, likely: late, next: `kubectl describe job ${job.metadata.name}` }
  const { name, state: { terminated: { exitCode, reason: end } } } = container.status
  const likely = 'the job itself has failed, and its log says why'
  const next = `kubectl logs ${pod.metadata.name} --container ${name}`
  return { pod: pod.metadata.name, container: name, reason, exitCode, message: `${message} (${end}, exit ${exitCode})`, likely, next }
}

function failed({ kind, metadata }: Json, found: Finding): Rollout {
  const { 'app.kubernetes.io/part-of': whole, 'app.kubernetes.io/name': name } = metadata.labels ?? {}
  const cause: Cause = { application: whole ?? name ?? metadata.name, kind, name: metadata.name, pod: '', container: '', ...found }
  return { state: 'failed', detail: `${found.reason}: ${found.message}`, cause }
}
