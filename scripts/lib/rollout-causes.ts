// The failure table: what a pod or its owner shows, and after which time it is a failure. Objects in, causes out. Pure.
import type { Manifest as Json } from './cluster.ts'

/** What is wrong, as the cluster reports it, and what that most likely means. */
export interface Finding {
  pod?: string
  container?: string
  reason: string
  exitCode?: number
  message: string
  likely: string
  /** A command; it begins with kubectl when it is one of kubectl's. */
  next: string
}

export interface Context {
  /** ms of the cluster's clock. */
  now: number
  /** ms when the change began: what ended before does not count. */
  since: number
  events: Json[]
  /** Restarts that containers had when the watch began, by `<uid of the pod> <container>`. */
  restarts: Record<string, number>
  /** ms since which all is there that an application may wait for: databases, migrations. Undefined when it is not, or not known. */
  founded: number | undefined
}

/** ms that a state may last before it is a failure. What cannot heal by itself fails at once. */
const grace = {
  // a Secret may be unsealed a moment after the pods that read it have begun
  config: 6_000,
  quota: 15_000,
  // a new node, a volume that is still attached elsewhere, a container runtime under load
  schedule: 30_000,
  mount: 30_000,
  create: 30_000,
  // a registry that does not answer is asked again after 10, 20 and 40 s
  registry: 60_000,
}
/** Exits that make a crash loop: a service may find its database not ready twice. */
const crashes = 3
/** … but hardly when that one had this many ms for it: then two exits are enough, as they are when it was ready all the time. */
const patience = 30_000

const list = <T>(value: T[] | undefined): T[] => value ?? []
/** ms of a timestamp; the beginning of time where there is none. */
export const at = (time: string | undefined): number => (time ? Date.parse(time) : 0)
export const condition = (object: Json, type: string): Record<string, any> | undefined => list<Record<string, any>>(object.status?.conditions).find(one => one.type === type)
export const eventTime = (event: Json): number => at(event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? undefined)
const firstTime = (event: Json): number => at(event.firstTimestamp ?? event.eventTime ?? undefined)
export const lasts = (since: number | string | undefined, { now, since: begin }: Context): number => now - Math.max(typeof since === 'number' ? since : at(since), begin)
/** Events of an object from this change, the last one last. */
export const eventsOf = (object: Json, { events, since }: Context): Json[] =>
  events.filter(one => one.involvedObject?.uid === uid(object) && eventTime(one) >= since).sort((a, b) => eventTime(a) - eventTime(b))
export const uid = ({ metadata }: Json): string => (metadata as Record<string, any>).uid
const lastMessage = (events: Json[], reason: RegExp, text = /(?:)/): string => events.filter(one => reason.test(one.reason) && text.test(one.message)).at(-1)?.message ?? ''

/** A container's specification and status; init containers first, they run first. */
interface Container {
  init: boolean
  spec: Record<string, any>
  status: Record<string, any>
}
export function containersOf(pod: Json): Container[] {
  const of = (specs: string, statuses: string, init: boolean) =>
    list<Record<string, any>>(pod.status?.[statuses]).map(status => {
      const spec = list<Record<string, any>>(pod.spec[specs]).find(({ name }) => name === status.name) ?? {}
      return { init: init && spec.restartPolicy !== 'Always', spec, status }
    })
  return [...of('initContainers', 'initContainerStatuses', true), ...of('containers', 'containerStatuses', false)]
}

/** Why a pod fails; undefined while it may still come up. */
export function podCause(pod: Json, context: Context): Finding | undefined {
  // evicted, preempted, lost with its node: another takes its place
  if (pod.metadata.deletionTimestamp || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return undefined
  const found = unschedulable(pod, context) ?? containersOf(pod).map(one => waits(one, pod, context) ?? crashed(one, pod, context)).find(Boolean) ?? mount(pod, context)
  return found && { pod: pod.metadata.name, ...found }
}

function unschedulable(pod: Json, context: Context): Finding | undefined {
  const { status, reason, message, lastTransitionTime } = condition(pod, 'PodScheduled') ?? {}
  if (status !== 'False' || reason !== 'Unschedulable' || lasts(lastTransitionTime, context) < grace.schedule) return undefined
  // room is being made: by an autoscaler, by ending less important pods
  if (pod.status.nominatedNodeName || eventsOf(pod, context).some(one => one.reason === 'TriggeredScaleUp')) return undefined
  const likely = /PersistentVolumeClaim/i.test(message) ? 'no volume could be made or found: the cluster has no (default) StorageClass, or the volume belongs to another zone'
    : /Insufficient/.test(message) ? 'no node has room for what the pod requests: a bigger or another node, or smaller requests'
    : 'no node fits what the pod asks for: its node selector, affinity or tolerations, or no node is ready'
  return { reason: 'Unschedulable', message, likely, next: /PersistentVolumeClaim/i.test(message) ? 'kubectl get persistentvolumeclaims,storageclasses' : 'kubectl describe nodes' }
}

/** What a container waits for in vain. */
function waits({ spec, status }: Container, pod: Json, context: Context): Finding | undefined {
  const { reason, message = '' } = status.state?.waiting ?? {}
  const found = (words: Pick<Finding, 'likely' | 'next'> & Partial<Finding>): Finding => ({ container: status.name, reason, message, ...words })
  const next = `kubectl describe pod ${pod.metadata.name}`
  const waited = lasts(pod.status.startTime, context)
  switch (reason) {
    case 'ErrImagePull':
    case 'ImagePullBackOff':
      return pull(found, `${spec.image}`, [message, lastMessage(eventsOf(pod, context), /^Failed$/, /^Failed to pull/)], waited)
    case 'InvalidImageName':
      return found({ message: message || spec.image, likely: `\`${spec.image}\` is no name that an image can have: capitals, a missing variable, two colons?`, next })
    case 'ErrImageNeverPull':
      return found({ likely: `the pod may not pull \`${spec.image}\` (imagePullPolicy: Never), and the node does not have it`, next })
    case 'CreateContainerConfigError':
      return /failed to sync \w+ cache/.test(message) || waited < grace.config ? undefined : found(configWords(message, next))
    case 'CreateContainerError':
    case 'RunContainerError':
      return waited < grace.create || isInfra(status.lastState?.terminated) ? undefined : found({ likely: 'the node cannot start the container: its command, a mount or the node itself', next })
    default:
      return undefined
  }
}

/** What the registry said stands in the container's state or, of an attempt since, in the last event. */
function pull(found: (words: Pick<Finding, 'likely' | 'next'> & Partial<Finding>) => Finding, image: string, texts: string[], waited: number): Finding | undefined {
  const next = `docker buildx imagetools inspect ${image}`
  const says = (sign: RegExp) => texts.find(text => sign.test(text))
  const platform = says(/no match for platform/)
  if (platform) return found({ message: platform, likely: `\`${image}\` is not built for this node's processor`, next })
  const denied = says(/denied|unauthorized|authorization failed|forbidden|authentication required|no basic auth|status(?: code)?:? 40[13]/i)
  if (denied) return found({ message: denied, likely: `the registry does not let the cluster have \`${image}\`: its pull secret is missing, wrong or expired, or the image is not there`, next: 'kubectl get serviceaccounts,secrets' })
  const missing = says(/not found|manifest unknown|name unknown|does not exist/i)
  if (missing) return found({ message: missing, likely: `\`${image}\` is not in its registry: not built, not pushed, or its tag is misspelt`, next })
  return waited < grace.registry ? undefined : found({ message: texts[1] || texts[0]!, likely: 'the registry does not answer the node', next })
}

function configWords(message: string, next: string): Pick<Finding, 'likely' | 'next'> {
  const [, key, kind, name] = /couldn't find key (\S+) in (Secret|ConfigMap) (?:[^/\s]+\/)?(\S+)/.exec(message) ?? []
  if (key) return { likely: `the ${kind} ${name} has no key ${key}${kind === 'Secret' ? ': it is not sealed yet, or has another name' : ''}`, next: `kubectl describe ${kind!.toLowerCase()} ${name}` }
  const [, what, missing] = /(secret|configmap) "([^"]+)" not found/.exec(message) ?? []
  if (what) return { likely: `the ${what === 'secret' ? 'Secret' : 'ConfigMap'} ${missing} is not there${what === 'secret' ? ': it is not sealed yet, or could not be unsealed' : ''}`, next: `kubectl get ${what === 'secret' ? 'sealedsecrets,secrets' : 'configmaps'}` }
  if (/runAsNonRoot/.test(message)) return { likely: 'the image wants to run as root, and the pod forbids that: it needs a runAsUser', next }
  return { likely: 'the container cannot be made from its specification', next }
}

type Ended = Record<string, any> | undefined
/** The node's fault, not the application's (krane ignores 128 too; there a command that is not in the image ends so as well). */
const isInfra = (ended: Ended): boolean => ended?.reason === 'ContainerStatusUnknown' || (ended?.exitCode === 128 && !noCommand.test(ended.message ?? ''))
const noCommand = /executable file not found|no such file or directory|permission denied|is a directory|exec format error/
/** How a container ended the last time, if that was in this change. */
export function lastEnd({ init, status }: Container, { since }: Context): Ended {
  const ended = status.state?.terminated ?? status.lastState?.terminated
  return !ended || at(ended.finishedAt) < since || (init && ended.exitCode === 0) || isInfra(ended) ? undefined : ended
}

/** Counts exits: Kubernetes shows `CrashLoopBackOff` for a tenth of a second before a restart only. */
function crashed(container: Container, pod: Json, context: Context): Finding | undefined {
  const { spec, status } = container
  const ended = lastEnd(container, context)
  if (!ended || pod.spec.restartPolicy === 'Never') return undefined
  const exits = exitsOf(container, pod, context)
  const { exitCode, message: said = '' } = ended
  const end = endOf(ended, eventsOf(pod, context))
  const late = at(ended.finishedAt) - Math.max(at(pod.status.startTime), context.since) >= patience
  const alone = context.founded !== undefined && at(ended.startedAt) > context.founded
  if (exits < (hopeless.includes(end) || late || alone ? crashes - 1 : crashes)) return undefined
  const message = `it has ended ${exits} times, the last time ${end === 'memory' ? `out of memory (exit ${exitCode})` : `with exit ${exitCode}`} after ${Math.round(lifetime(ended) / 1000)} s${said && `: ${said.trim()}`}`
  const next = end === 'command' || end === 'memory' ? `kubectl describe pod ${pod.metadata.name}` : `kubectl logs ${pod.metadata.name} --container ${status.name} --previous`
  return { container: status.name, reason: end === 'memory' ? 'OOMKilled' : 'CrashLoop', exitCode, message, likely: endWords(end, spec, eventsOf(pod, context)), next }
}

export function exitsOf({ status }: Container, pod: Json, { restarts }: Context): number {
  const down = status.state?.terminated || status.state?.waiting?.reason === 'CrashLoopBackOff'
  return status.restartCount + (down ? 1 : 0) - (restarts[`${uid(pod)} ${status.name}`] ?? 0)
}

// a container that could not be started has no beginning
export const lifetime = ({ startedAt, finishedAt }: Record<string, any>): number => (at(startedAt) ? at(finishedAt) - at(startedAt) : 0)

type End = 'memory' | 'probe' | 'command' | 'done' | 'fault' | 'killed' | 'error'
/** Ends that another start does not change. */
const hopeless: End[] = ['memory', 'command', 'fault', 'killed']
const probeKill = /failed (liveness|startup) probe/

/** What a container's end was. Not every node notices that one was killed for memory: then it is just killed. */
function endOf({ exitCode, reason, message = '' }: Record<string, any>, events: Json[]): End {
  if (reason === 'OOMKilled') return 'memory'
  if (lastMessage(events, /^Killing$/, probeKill)) return 'probe'
  if ([126, 127].includes(exitCode) || noCommand.test(message)) return 'command'
  if ([132, 134, 139].includes(exitCode)) return 'fault'
  return exitCode === 137 ? 'killed' : exitCode === 0 ? 'done' : 'error'
}

function endWords(end: End, spec: Record<string, any>, events: Json[]): string {
  const limit = spec.resources?.limits?.memory
  const words: Record<End, string> = {
    memory: `it needs more memory than ${limit ? `its limit of ${limit}` : 'its node has'}`,
    probe: `its ${probeKill.exec(lastMessage(events, /^Killing$/, probeKill))?.[1]} probe fails, so the node ends it${withColon(probeWords(events, spec))}`,
    command: 'its command is not in the image, or cannot be run there',
    done: 'its command comes to an end, and it should go on for ever',
    fault: 'the program itself has crashed: built for another processor, or a fault in it',
    killed: `it was killed, most likely because it needs more memory than ${limit ? `its limit of ${limit}` : 'its node has'}`,
    error: 'the application gives up when it starts, and its log says why: a setting, a database that cannot be reached, a migration that has not run',
  }
  return words[end]
}
const withColon = (text: string) => text && `: ${text}`

/** Volumes: only the events tell. */
function mount(pod: Json, context: Context): Finding | undefined {
  if (pod.status.phase !== 'Pending' || condition(pod, 'PodScheduled')?.status !== 'True' || containersOf(pod).some(({ status }) => status.state?.running)) return undefined
  const events = eventsOf(pod, context).filter(one => /^Failed(Mount|AttachVolume)$/.test(one.reason) && !/failed to sync \w+ cache/.test(one.message))
  const first = Math.min(...events.map(firstTime))
  const last = events.at(-1)
  if (!last || lasts(first, context) < grace.mount) return undefined
  const { message, reason } = last
  const [, kind, name] = /(secret|configmap) "([^"]+)" not found/.exec(message) ?? []
  const likely = kind ? `the ${kind === 'secret' ? 'Secret' : 'ConfigMap'} ${name} is not there` : /Multi-Attach/.test(message) ? 'the volume is still attached to another node' : 'the volume cannot be attached or mounted'
  return { reason, message, likely, next: kind ? `kubectl get ${kind}s` : `kubectl describe pod ${pod.metadata.name}` }
}

/** Why no pod is made at all: quota, admission. */
export function creationCause(owner: Json, context: Context): Finding | undefined {
  const { status, message: said, lastTransitionTime } = condition(owner, 'ReplicaFailure') ?? {}
  const events = eventsOf(owner, context).filter(one => one.reason === 'FailedCreate')
  const message: string = said ?? events.at(-1)?.message ?? ''
  const first = status === 'True' ? at(lastTransitionTime) : Math.min(...events.map(firstTime))
  if (!message || lasts(first, context) < grace.quota) return undefined
  const likely = /exceeded quota/.test(message) ? "the namespace's quota leaves no room for another pod" : /violates PodSecurity/.test(message) ? 'the namespace allows no pod with these rights' : 'the cluster refuses the pods'
  return { reason: 'FailedCreate', message, likely, next: /quota/.test(message) ? 'kubectl describe resourcequotas' : `kubectl describe ${owner.kind.toLowerCase()} ${owner.metadata.name}` }
}

/** What the last failed probe asked, and what it got; '' when none failed lately. */
export function probeWords(events: Json[], spec: Record<string, any>): string {
  const last = events.filter(one => one.reason === 'Unhealthy' && one.involvedObject.fieldPath?.endsWith(`{${spec.name}}`)).at(-1)
  const [, kind, got] = /^(Readiness|Liveness|Startup) probe (?:failed|errored)[^:]*: (.*)/s.exec(last?.message ?? '') ?? []
  if (!kind) return ''
  return `${kind.toLowerCase()} probe ${asked(spec[`${kind.toLowerCase()}Probe`] ?? {})}: ${got!.trim().split('\n').at(-1) || 'it says nothing, and fails'}`
}

function asked({ httpGet, tcpSocket, exec, grpc }: Record<string, any>): string {
  if (httpGet) return `GET ${httpGet.path ?? '/'} on port ${httpGet.port}`
  if (tcpSocket) return `of port ${tcpSocket.port}`
  return exec ? `\`${list<string>(exec.command).join(' ').slice(0, 80)}\`` : `grpc on port ${grpc?.port}`
}
