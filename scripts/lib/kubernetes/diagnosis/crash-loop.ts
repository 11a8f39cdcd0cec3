// The part of the failure table on containers that end. Pure.
import type { Container, ContainerStateTerminated } from 'kubernetes-types/core/v1.js'
import { timestampMs, type ClusterEvent, type Pod, type PodContainer } from '../objects.ts'
import {
  listObjectEvents,
  firstEventMs,
  findLastMessage,
  describeProbeFailure,
  type DiagnosisContext,
  type Diagnosis,
} from './diagnosis.ts'

/** Exits that make a crash loop: a service may find its database not ready twice. */
const crashLoopExits = 3
/**
 * … but hardly when that one had this many ms for it: then two exits are enough, as they are when
 * it was ready all the time.
 */
const lateExitMs = 30_000
/**
 * As long as a database is known not to be ready, what ends does so because of it; for this many
 * ms.
 */
const dependencyGraceMs = 120_000
/** ms after which everybody knows that it is ready. */
const propagationMs = 5_000

/**
 * The node's fault, not the application's (krane ignores 128 too; there a command that is not in
 * the image ends so as well).
 */
export const isNodeFailure = (ended: ContainerStateTerminated | undefined): boolean =>
  ended?.reason === 'ContainerStatusUnknown' ||
  (ended?.exitCode === 128 && !missingCommandPattern.test(ended.message ?? ''))
const missingCommandPattern =
  /executable file not found|no such file or directory|permission denied|is a directory|exec format error/
/** How a container ended the last time, if that was in this change. */
export function findLastTermination(
  { init, status }: PodContainer,
  { since }: DiagnosisContext,
): ContainerStateTerminated | undefined {
  const ended = status.state?.terminated ?? status.lastState?.terminated
  return !ended ||
    timestampMs(ended.finishedAt) < since ||
    (init && ended.exitCode === 0) ||
    isNodeFailure(ended)
    ? undefined
    : ended
}

/**
 * Counts exits: Kubernetes shows `CrashLoopBackOff` for a tenth of a second before a restart only.
 */
export function diagnoseCrashLoop(
  container: PodContainer,
  pod: Pod,
  context: DiagnosisContext,
): Diagnosis | undefined {
  const { spec, status } = container
  const ended = findLastTermination(container, context)
  if (!ended || pod.spec.restartPolicy === 'Never') return undefined
  const exits = countExits(container, pod, context)
  const { exitCode, message: said = '' } = ended
  const end = classifyExit(ended, listObjectEvents(pod, context))
  const late =
    timestampMs(ended.finishedAt) - Math.max(firstStartMs(pod, context), context.since) >=
    lateExitMs
  const alone =
    context.dependenciesReadySince !== undefined &&
    timestampMs(ended.startedAt) > context.dependenciesReadySince + propagationMs
  const excused =
    context.dependenciesReadySince === Infinity &&
    context.now - context.since < dependencyGraceMs &&
    !permanentExits.includes(end)
  if (
    excused ||
    exits < (permanentExits.includes(end) || late || alone ? crashLoopExits - 1 : crashLoopExits)
  )
    return undefined
  const how = end === 'memory' ? `out of memory (exit ${exitCode})` : `with exit ${exitCode}`
  const message = `it has ended ${exits} times, the last time ${how} after ${Math.round(lifetimeMs(ended) / 1000)} s${said && `: ${said.trim()}`}`
  const { name } = pod.metadata
  const next =
    end === 'command' || end === 'memory'
      ? `kubectl describe pod ${name}`
      : `kubectl logs ${name} --container ${status.name} --previous`
  const likely = explainExit(end, spec, listObjectEvents(pod, context))
  return {
    container: status.name,
    reason: end === 'memory' ? 'OOMKilled' : 'CrashLoop',
    exitCode,
    message,
    likely,
    next,
  }
}

/**
 * When (ms) a pod's first container was started: to pull its image may take a slow node longer than
 * the database had.
 */
function firstStartMs(pod: Pod, context: DiagnosisContext): number {
  const starts = listObjectEvents(pod, context)
    .filter(({ reason }) => reason === 'Started')
    .map(firstEventMs)
  return starts.length ? Math.min(...starts) : timestampMs(pod.status.startTime)
}

/** The key of a container's restarts before the watch. */
export const restartKey = (pod: Pod, container: string): string =>
  `${pod.metadata.uid} ${container}`

function countExits({ status }: PodContainer, pod: Pod, { restarts }: DiagnosisContext): number {
  const down = status.state?.terminated || status.state?.waiting?.reason === 'CrashLoopBackOff'
  return status.restartCount + (down ? 1 : 0) - (restarts[restartKey(pod, status.name)] ?? 0)
}

// a container that could not be started has no beginning
export const lifetimeMs = ({ startedAt, finishedAt }: ContainerStateTerminated): number =>
  timestampMs(startedAt) ? timestampMs(finishedAt) - timestampMs(startedAt) : 0

type ExitKind = 'memory' | 'probe' | 'command' | 'done' | 'fault' | 'killed' | 'error'
/** Ends that another start does not change. */
const permanentExits: ExitKind[] = ['memory', 'command', 'fault', 'killed']
const probeKillPattern = /failed (liveness|startup) probe/

/**
 * What a container's end was. Not every node notices that one was killed for memory: then it is
 * just killed.
 */
function classifyExit(
  { exitCode, reason, message = '' }: ContainerStateTerminated,
  events: ClusterEvent[],
): ExitKind {
  if (reason === 'OOMKilled') return 'memory'
  if (findLastMessage(events, /^Killing$/, probeKillPattern)) return 'probe'
  if ([126, 127].includes(exitCode) || missingCommandPattern.test(message)) return 'command'
  if ([132, 134, 139].includes(exitCode)) return 'fault'
  if (exitCode === 137) return 'killed'
  return exitCode === 0 ? 'done' : 'error'
}

function explainExit(end: ExitKind, spec: Partial<Container>, events: ClusterEvent[]): string {
  const limit = spec.resources?.limits?.memory
  const words: Record<ExitKind, string> = {
    memory: `it needs more memory than ${limit ? `its limit of ${limit}` : 'its node has'}`,
    probe: `its ${probeKillPattern.exec(findLastMessage(events, /^Killing$/, probeKillPattern))?.[1]} probe fails, so the node restarts it${withColon(describeProbeFailure(events, spec))}`,
    command: 'its command is not in the image, or cannot be run there',
    done: 'its command ends, but it should keep running',
    fault: 'the program crashed: it was built for another processor, or has a bug',
    killed: `it was killed, most likely because it needs more memory than ${limit ? `its limit of ${limit}` : 'its node has'}`,
    error:
      'the application exits when it starts, and its log says why: a setting, a database that cannot be reached, a migration that has not run',
  }
  return words[end]
}
/** What the end of a container most likely means that is not started again; `error`: of any other. */
export function explainTermination(
  ended: ContainerStateTerminated,
  spec: Partial<Container>,
  error: string,
): string {
  const end = classifyExit(ended, [])
  return end === 'error' ? error : explainExit(end, spec, [])
}

const withColon = (text: string) => text && `: ${text}`
