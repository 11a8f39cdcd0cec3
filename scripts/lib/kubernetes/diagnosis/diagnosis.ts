// What is wrong with a pod or with what makes pods, and what its events say. Pure.
import type { Container, Probe } from 'kubernetes-types/core/v1.js'
import { timestampMs, type ClusterEvent, type ObjectMetadata } from '../objects.ts'
import { lastLineOf } from '../../text.ts'

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

/** What a row of the table adds to what the cluster reports. */
export type DiagnosisText = Pick<Diagnosis, 'likely' | 'next'> & Partial<Diagnosis>

export interface DiagnosisContext {
  /** ms of the cluster's clock. */
  now: number
  /** ms when the change began: what ended before does not count. */
  since: number
  events: ClusterEvent[]
  /** Restarts that containers had when the watch began, by `<uid of the pod> <container>`. */
  restarts: Record<string, number>
  /**
   * ms since which all is there that an application may wait for: databases, migrations. Infinity
   * while it is not; undefined when that is not known.
   */
  dependenciesReadySince: number | undefined
}

export const lastEventMs = (event: ClusterEvent): number =>
  timestampMs(event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime)
export const firstEventMs = (event: ClusterEvent): number =>
  timestampMs(event.firstTimestamp ?? event.eventTime)
/** ms for which something has been so in this change. */
export const durationMs = (
  since: number | string | undefined,
  { now, since: begin }: DiagnosisContext,
): number => now - Math.max(typeof since === 'number' ? since : timestampMs(since), begin)
/** Events of an object from this change, the last one last. */
export const listObjectEvents = (
  { metadata }: { metadata: ObjectMetadata },
  { events, since }: DiagnosisContext,
): ClusterEvent[] =>
  events
    .filter(one => one.involvedObject.uid === metadata.uid && lastEventMs(one) >= since)
    .sort((a, b) => lastEventMs(a) - lastEventMs(b))
/** The last event of a reason that says something like that; '' when there is none. */
export const findLastMessage = (events: ClusterEvent[], reason: RegExp, text = /(?:)/): string =>
  events.filter(one => reason.test(one.reason ?? '') && text.test(one.message ?? '')).at(-1)
    ?.message ?? ''

/** What the last failed probe asked, and what it got; '' when none failed lately. */
export function describeProbeFailure(events: ClusterEvent[], spec: Partial<Container>): string {
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
  const name = kind.toLowerCase() as 'readiness' | 'liveness' | 'startup'
  return `${name} probe ${describeProbe(spec[`${name}Probe`] ?? {})}: ${lastLineOf(got ?? '') || 'it says nothing, and fails'}`
}

function describeProbe({ httpGet, tcpSocket, exec, grpc }: Probe): string {
  if (httpGet) return `GET ${httpGet.path ?? '/'} on port ${httpGet.port}`
  if (tcpSocket) return `of port ${tcpSocket.port}`
  return exec ? `\`${(exec.command ?? []).join(' ').slice(0, 80)}\`` : `grpc on port ${grpc?.port}`
}

/** Reasons of a container that waits as every one does at its start. */
export const usualWaitReasons = ['ContainerCreating', 'PodInitializing']
/** Reasons of a container that waits for its image. */
export const imagePullReasons = [
  'ErrImagePull',
  'ImagePullBackOff',
  'RegistryUnavailable',
  'ImageInspectError',
]

/** Events of a pod whose volumes are not there. */
export const listVolumeFailures = (
  pod: { metadata: ObjectMetadata },
  context: DiagnosisContext,
): ClusterEvent[] =>
  listObjectEvents(pod, context).filter(one =>
    /^Failed(Mount|AttachVolume)$/.test(one.reason ?? ''),
  )

/** Events of a pod whose network the node could not set up. */
export const listSandboxFailures = (
  pod: { metadata: ObjectMetadata },
  context: DiagnosisContext,
): ClusterEvent[] =>
  listObjectEvents(pod, context).filter(one => one.reason === 'FailedCreatePodSandBox')

/** The last failed pull of an image, as its event says it. */
export const findPullEvent = (events: ClusterEvent[]): string =>
  findLastMessage(events, /^Failed$/, /^Failed to pull/)

/** A diagnosis in a line. */
export const describeDiagnosis = ({ reason, message }: Diagnosis): string => `${reason}: ${message}`
