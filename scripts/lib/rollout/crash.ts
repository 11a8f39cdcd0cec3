// The part of the failure table on containers that end. Pure.
import type { Manifest as Json } from '../cluster/cluster.ts'
import {
  at,
  eventsOf,
  firstTime,
  lastMessage,
  probeWords,
  uid,
  type Container,
  type Context,
  type Finding,
} from './objects.ts'

/** Exits that make a crash loop: a service may find its database not ready twice. */
const crashes = 3
/** … but hardly when that one had this many ms for it: then two exits are enough, as they are when it was ready all the time. */
const patience = 30_000
/** As long as a database is known not to be ready, those who end do so for want of it; for this many ms. */
const excuse = 120_000
/** ms after which everybody knows that it is ready. */
const word = 5_000

type Ended = Record<string, any> | undefined
/** The node's fault, not the application's (krane ignores 128 too; there a command that is not in the image ends so as well). */
export const isInfra = (ended: Ended): boolean =>
  ended?.reason === 'ContainerStatusUnknown' ||
  (ended?.exitCode === 128 && !noCommand.test(ended.message ?? ''))
const noCommand =
  /executable file not found|no such file or directory|permission denied|is a directory|exec format error/
/** How a container ended the last time, if that was in this change. */
export function lastEnd({ init, status }: Container, { since }: Context): Ended {
  const ended = status.state?.terminated ?? status.lastState?.terminated
  return !ended || at(ended.finishedAt) < since || (init && ended.exitCode === 0) || isInfra(ended)
    ? undefined
    : ended
}

/** Counts exits: Kubernetes shows `CrashLoopBackOff` for a tenth of a second before a restart only. */
export function crashed(container: Container, pod: Json, context: Context): Finding | undefined {
  const { spec, status } = container
  const ended = lastEnd(container, context)
  if (!ended || pod.spec.restartPolicy === 'Never') return undefined
  const exits = exitsOf(container, pod, context)
  const { exitCode, message: said = '' } = ended
  const end = endOf(ended, eventsOf(pod, context))
  const late = at(ended.finishedAt) - Math.max(begun(pod, context), context.since) >= patience
  const alone = context.founded !== undefined && at(ended.startedAt) > context.founded + word
  const excused =
    context.founded === Infinity && context.now - context.since < excuse && !hopeless.includes(end)
  if (excused || exits < (hopeless.includes(end) || late || alone ? crashes - 1 : crashes))
    return undefined
  const how = end === 'memory' ? `out of memory (exit ${exitCode})` : `with exit ${exitCode}`
  const message = `it has ended ${exits} times, the last time ${how} after ${Math.round(lifetime(ended) / 1000)} s${said && `: ${said.trim()}`}`
  const { name } = pod.metadata
  const next =
    end === 'command' || end === 'memory'
      ? `kubectl describe pod ${name}`
      : `kubectl logs ${name} --container ${status.name} --previous`
  const likely = endWords(end, spec, eventsOf(pod, context))
  return {
    container: status.name,
    reason: end === 'memory' ? 'OOMKilled' : 'CrashLoop',
    exitCode,
    message,
    likely,
    next,
  }
}

/** When (ms) a pod's first container was started: to pull its image may take a slow node longer than the database had. */
function begun(pod: Json, context: Context): number {
  const starts = eventsOf(pod, context)
    .filter(({ reason }) => reason === 'Started')
    .map(firstTime)
  return starts.length ? Math.min(...starts) : at(pod.status.startTime)
}

function exitsOf({ status }: Container, pod: Json, { restarts }: Context): number {
  const down = status.state?.terminated || status.state?.waiting?.reason === 'CrashLoopBackOff'
  return status.restartCount + (down ? 1 : 0) - (restarts[`${uid(pod)} ${status.name}`] ?? 0)
}

// a container that could not be started has no beginning
export const lifetime = ({ startedAt, finishedAt }: Record<string, any>): number =>
  at(startedAt) ? at(finishedAt) - at(startedAt) : 0

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
    error:
      'the application gives up when it starts, and its log says why: a setting, a database that cannot be reached, a migration that has not run',
  }
  return words[end]
}
const withColon = (text: string) => text && `: ${text}`
