// Describes why a stack could not be started.
import { stripVTControlCharacters } from 'node:util'
import { runCompose, type ComposeConfig, type Stack } from './stack.ts'
import { readContainers } from './containers.ts'
import type { ServiceStatus } from './stack-status.ts'

/**
 * What a line in a log most likely means; sources: what self-hosters stumble over (supabase #22605,
 * sentry #3133).
 */
const causes: [RegExp, string][] = [
  [
    /password authentication failed|WRONGPASS|NOAUTH/,
    'the volume is older than the password in the env file: put the old password back there, or change it in the database (ALTER ROLE … PASSWORD)',
  ],
  [
    /no space left on device|ENOSPC/i,
    'the disk is full: `docker system df` shows what uses the space',
  ],
  [
    /database files are incompatible with server/,
    'the volume was written by another major version of PostgreSQL: dump it there, restore it here',
  ],
  // until Engine 25, and from 26 on
  [
    /non-overlapping IPv4 address pool|address pools have been fully subnetted/,
    'the engine has no free network left: `docker network prune`, or more `default-address-pools` in /etc/docker/daemon.json',
  ],
  [
    /Bad file format reading the append only file|Unexpected end of file reading the append only file/,
    'its append-only file is damaged, as a loss of power does it: copy the volume, then let `redis-check-aof --fix` cut off what cannot be read',
  ],
  [
    /creating file watcher: too many open files/,
    "this user's inotify instances are used up: `sysctl -w fs.inotify.max_user_instances=1024`, and the same line in /etc/sysctl.d/",
  ],
  [
    /Address family not supported by protocol/,
    'the kernel has no IPv6, and the program wants it: of a socket proxy set DISABLE_IPV6=1',
  ],
  [
    /address already in use|port is already allocated|EADDRINUSE/i,
    'another process listens on the port',
  ],
]

/** In words, when the text has a sign of a well-known cause. */
export const likelyCause = (text: string): string | undefined =>
  causes.find(([sign]) => sign.test(text))?.[1]

/**
 * The result block for services that failed: the first one's cause and log, and who waits for it.
 */
export async function failureReport(
  stack: Stack,
  all: ComposeConfig,
  verdicts: ServiceStatus[],
): Promise<{ why: string; evidence: string; service: string }> {
  const failed = verdicts.filter(({ state }) => state === 'failed')
  const names = new Set(failed.map(({ service }) => service))
  // the one that waits for no other failed one is the cause
  const first =
    failed.find(
      ({ service }) =>
        !Object.keys(all.services[service]?.depends_on ?? {}).some(other => names.has(other)),
    ) ?? failed[0]!
  const log = await lastLogLines(stack, first)
  const waiting = verdicts
    .filter(({ service, state }) => state !== 'ready' && dependsOn(all, service, first.service))
    .map(({ service }) => service)
  const lines = [`log of ${first.service}, last 25 lines:`, ...log.map(line => `  ${line}`)]
  const others = failed
    .filter(({ service }) => service !== first.service)
    .map(({ service, detail }) => `also failed: ${service}: ${detail}`)
  const cause = likelyCause([first.detail, ...log].join('\n'))
  if (cause) lines.push(`likely cause: ${cause}`)
  if (waiting.length) lines.push(`wait for it: ${waiting.join(', ')}`)
  const undone = verdicts.filter(
    ({ service, state }) =>
      (state === 'waiting' || state === 'absent') && !waiting.includes(service),
  )
  if (undone.length) lines.push(`left undone: ${describeStatuses(undone)}`)
  return {
    service: first.service,
    why: `${first.service}: ${first.detail}`,
    evidence: [...lines, ...others].join('\n'),
  }
}

/**
 * The last 25 lines of its log; of one in a crash loop, of what it said before its last end: by now
 * it may be at another try, and say nothing of it.
 */
async function lastLogLines(
  stack: Stack,
  { service, container }: ServiceStatus,
): Promise<string[]> {
  const end =
    container?.condition === 'crash loop'
      ? (await readContainers(stack.project)).get(service)?.State.FinishedAt
      : undefined
  const { stdout } = await runCompose(
    stack,
    ['logs', '--no-color', '--no-log-prefix', '--timestamps', '--tail', '200', service],
    { nothrow: true },
  )
  // Compose clears a line before each of the log's, terminal or not
  return linesBefore(stripVTControlCharacters(stdout), Date.parse(end ?? '') || Infinity).slice(-25)
}

/**
 * The lines of a log that came until `end` (ms), without the timestamps by which that is known.
 * Pure.
 */
export function linesBefore(log: string, end: number): string[] {
  const lines = log
    .trimEnd()
    .split('\n')
    .map(line => /^(?:(\d{4}-\S+Z) ?)?(.*)$/.exec(line) ?? [])
  // the engine notes the last line when it comes out of the pipe, which may be after the end
  return lines.flatMap(([, at = '', text = '']) => (Date.parse(at) > end + 50 ? [] : [text]))
}

/** `web (starting), worker (waits for other services)` */
export const describeStatuses = (verdicts: ServiceStatus[]): string =>
  verdicts.map(({ service, detail }) => `${service} (${detail})`).join(', ')

/** Whether a service needs another, itself or by what it needs. */
export function dependsOn(all: ComposeConfig, service: string, other: string): boolean {
  return Object.keys(all.services[service]?.depends_on ?? {}).some(
    name => name === other || dependsOn(all, name, other),
  )
}
