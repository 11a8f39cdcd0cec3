// Waits for a stack, truthfully: asks the engine, lets health.ts judge, narrates.
import { stripVTControlCharacters } from 'node:util'
import { compose, isOneShot, type Config, type Stack } from './compose.ts'
import { containers, type Container } from './containers.ts'
import { judge, type Expectation, type Verdict } from './health.ts'
import { liveTable } from '../live-table.ts'
import { isRich } from '../output.ts'
import { color, duration, emit, say } from '../report.ts'
import { run } from '../run.ts'

/** What to expect of each service, remembering the restarts that containers had before. */
export function expectations(all: Config, services: string[], before: Map<string, Container>): Expectation[] {
  return services.map(service => {
    const old = before.get(service)
    const healthcheck = all.services[service]?.healthcheck
    return {
      service,
      oneShot: isOneShot(all, service),
      hasHealthcheck: Boolean(healthcheck?.test?.length) && !healthcheck?.disable && healthcheck?.test?.[0] !== 'NONE',
      ...(old ? { before: { id: old.Id, restarts: old.RestartCount } } : {}),
    }
  })
}

export interface Watch {
  stack: Stack
  expected: Expectation[]
  /** ms of the clock when the watched change began. */
  since: number
  /** ms; then the watch ends with what it has. */
  timeout: number
  /** True once nothing more will be started or replaced: what is there then stays. */
  started: () => boolean
  /** True when Compose ended with an error: nobody will start what has not been. */
  gaveUp: () => boolean
}

/** Watches until all services are ready or one has failed, or the time is over. Returns the last verdicts. */
export async function watch(options: Watch): Promise<Verdict[]> {
  const table = liveTable(options.since)
  let heartbeat = Date.now()
  let gaveUp: number | undefined
  for (;;) {
    const last = options.started()
    if (options.gaveUp()) gaveUp ??= Date.now()
    const now = Date.now()
    const seen = await containers(options.stack.project)
    const judged = options.expected.map(expected => judge(expected, seen.get(expected.service), now, options.since, last))
    const verdicts = await Promise.all(judged.map(verdict => withExitCode(verdict, seen.get(verdict.service), options.since)))
    for (const { name, ...row } of table.show(verdicts.map(({ service, ...rest }) => ({ name: service, ...rest })))) emit('service', { service: name, ...row })
    const open = verdicts.filter(({ state }) => state === 'absent' || state === 'waiting')
    if (verdicts.some(({ state }) => state === 'failed') || (last && !open.length)) return verdicts
    // what made Compose give up shows in the containers soon, or not at all
    if (gaveUp && (now - gaveUp > 10_000 || open.every(({ state }) => state === 'absent'))) return verdicts
    if (now - options.since > options.timeout) return verdicts
    if (!isRich() && now - heartbeat > 15_000) {
      heartbeat = now
      say(color.dim(`  ${duration(now - options.since)}: waiting for ${open.map(({ service, detail }) => `${service} (${detail})`).join(', ')}`))
    }
    await new Promise(done => setTimeout(done, 400))
  }
}

/** A crash loop that runs at this moment: its exit code stands in the engine's events. */
async function withExitCode(verdict: Verdict, container: Container | undefined, since: number): Promise<Verdict> {
  if (!container || !/^crash loop: \d/.test(verdict.detail)) return verdict
  const filters = ['--filter', `container=${container.Id}`, '--filter', 'event=die', '--since', String(since / 1000), '--until', String(Date.now() / 1000)]
  const output = await run(['docker', 'events', ...filters, '--format', '{{.Actor.Attributes.exitCode}}'], { nothrow: true, timeout: 5_000 })
  const code = output.stdout.trim().split('\n').at(-1)
  return code ? { ...verdict, detail: verdict.detail.replace('crash loop:', `crash loop: exit ${code},`) } : verdict
}

/** What a line in a log most likely means; sources: what self-hosters stumble over (supabase #22605, sentry #3133). */
const causes: [RegExp, string][] = [
  [/password authentication failed|WRONGPASS|NOAUTH/, 'the volume is older than the password in the env file: put the old password back there, or change it in the database (ALTER ROLE … PASSWORD)'],
  [/No space left on device|ENOSPC/, 'the disk is full: `docker system df` shows what takes the room'],
  [/database files are incompatible with server/, 'the volume was written by another major version of PostgreSQL: dump it there, restore it here'],
  [/non-overlapping IPv4 address pool/, 'the engine has no network left to give: `docker network prune`, or more `default-address-pools` in /etc/docker/daemon.json'],
  [/creating file watcher: too many open files/, "this user's inotify instances are used up: `sysctl -w fs.inotify.max_user_instances=1024`, and the same line in /etc/sysctl.d/"],
  [/address already in use|EADDRINUSE/i, 'another process listens on the port'],
]

/** In words, when the text has a sign of a well-known cause. */
export const likelyCause = (text: string): string | undefined => causes.find(([sign]) => sign.test(text))?.[1]

/** The result block for services that failed: the first one's cause and log, and who waits for it. */
export async function failureBlock(stack: Stack, all: Config, verdicts: Verdict[]): Promise<{ why: string; evidence: string; service: string }> {
  const failed = verdicts.filter(({ state }) => state === 'failed')
  const names = new Set(failed.map(({ service }) => service))
  // the one that waits for no other failed one is the cause
  const first = failed.find(({ service }) => !Object.keys(all.services[service]?.depends_on ?? {}).some(other => names.has(other))) ?? failed[0]!
  // Compose clears a line before each of the log's, terminal or not
  const log = stripVTControlCharacters((await compose(stack, ['logs', '--no-color', '--no-log-prefix', '--tail', '25', first.service], { nothrow: true })).stdout)
  const waiting = verdicts.filter(({ service, state }) => state !== 'ready' && dependsOn(all, service, first.service)).map(({ service }) => service)
  const lines = [`log of ${first.service}, last 25 lines:`, ...log.trimEnd().split('\n').map(line => `  ${line}`)]
  const others = failed.filter(({ service }) => service !== first.service).map(({ service, detail }) => `also failed: ${service}: ${detail}`)
  const cause = likelyCause(log)
  if (cause) lines.push(`likely cause: ${cause}`)
  if (waiting.length) lines.push(`wait for it: ${waiting.join(', ')}`)
  return { service: first.service, why: `${first.service}: ${first.detail}`, evidence: [...lines, ...others].join('\n') }
}

function dependsOn(all: Config, service: string, other: string): boolean {
  return Object.keys(all.services[service]?.depends_on ?? {}).some(name => name === other || dependsOn(all, name, other))
}

