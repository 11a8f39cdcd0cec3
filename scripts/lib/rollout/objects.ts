// How Kubernetes' objects are read for the judgement of a rollout. Pure.
import type { Manifest as Json } from '../kubernetes/kubectl.ts'

/** What is wrong, as the cluster reports it, and what that most likely means. */
export interface Diagnosis {
  pod?: string
  container?: string
  reason: string
  exitCode?: number
  message: string
  likely: string
  /** A command; it begins with kubectl when it is one of kubectl's. */
  next: string
}

export interface DiagnosisContext {
  /** ms of the cluster's clock. */
  now: number
  /** ms when the change began: what ended before does not count. */
  since: number
  events: Json[]
  /** Restarts that containers had when the watch began, by `<uid of the pod> <container>`. */
  restarts: Record<string, number>
  /**
   * ms since which all is there that an application may wait for: databases, migrations. Infinity
   * while it is not; undefined when that is not known.
   */
  dependenciesReadySince: number | undefined
}

export const orEmpty = <T>(value: T[] | undefined): T[] => value ?? []
/** ms of a timestamp; the beginning of time where there is none. */
export const timestampMs = (time: string | undefined): number => (time ? Date.parse(time) : 0)
export const findCondition = (object: Json, type: string): Record<string, any> | undefined =>
  orEmpty<Record<string, any>>(object.status?.conditions).find(one => one.type === type)
export const lastEventMs = (event: Json): number =>
  timestampMs(event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? undefined)
export const firstEventMs = (event: Json): number =>
  timestampMs(event.firstTimestamp ?? event.eventTime ?? undefined)
/** ms for which something has been so in this change. */
export const durationMs = (
  since: number | string | undefined,
  { now, since: begin }: DiagnosisContext,
): number => now - Math.max(typeof since === 'number' ? since : timestampMs(since), begin)
/** Events of an object from this change, the last one last. */
export const listObjectEvents = (object: Json, { events, since }: DiagnosisContext): Json[] =>
  events
    .filter(one => one.involvedObject?.uid === uidOf(object) && lastEventMs(one) >= since)
    .sort((a, b) => lastEventMs(a) - lastEventMs(b))
export const uidOf = ({ metadata }: Json): string => (metadata as Record<string, any>).uid
export const findLastMessage = (events: Json[], reason: RegExp, text = /(?:)/): string =>
  events.filter(one => reason.test(one.reason) && text.test(one.message)).at(-1)?.message ?? ''

/** A container's specification and status; init containers first, they run first. */
export interface PodContainer {
  init: boolean
  spec: Record<string, any>
  status: Record<string, any>
}
export function listPodContainers(pod: Json): PodContainer[] {
  const of = (specs: string, statuses: string, init: boolean) =>
    orEmpty<Record<string, any>>(pod.status?.[statuses]).map(status => {
      const spec =
        orEmpty<Record<string, any>>(pod.spec[specs]).find(({ name }) => name === status.name) ?? {}
      return { init: init && spec.restartPolicy !== 'Always', spec, status }
    })
  return [
    ...of('initContainers', 'initContainerStatuses', true),
    ...of('containers', 'containerStatuses', false),
  ]
}

/** What the last failed probe asked, and what it got; '' when none failed lately. */
export function describeProbeFailure(events: Json[], spec: Record<string, any>): string {
  const last = events
    .filter(
      one => one.reason === 'Unhealthy' && one.involvedObject.fieldPath?.endsWith(`{${spec.name}}`),
    )
    .at(-1)
  const [, kind, got] =
    /^(Readiness|Liveness|Startup) probe (?:failed|errored)[^:]*: (.*)/s.exec(
      last?.message ?? '',
    ) ?? []
  if (!kind) return ''
  return `${kind.toLowerCase()} probe ${describeProbe(spec[`${kind.toLowerCase()}Probe`] ?? {})}: ${got!.trim().split('\n').at(-1) || 'it says nothing, and fails'}`
}

function describeProbe({ httpGet, tcpSocket, exec, grpc }: Record<string, any>): string {
  if (httpGet) return `GET ${httpGet.path ?? '/'} on port ${httpGet.port}`
  if (tcpSocket) return `of port ${tcpSocket.port}`
  return exec
    ? `\`${orEmpty<string>(exec.command).join(' ').slice(0, 80)}\``
    : `grpc on port ${grpc?.port}`
}
