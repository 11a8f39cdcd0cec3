// Waits for a rollout on Kubernetes, truthfully: asks the cluster, lets rollout-judge.ts judge, narrates.
import { stripVTControlCharacters } from 'node:util'
import { kubectl, kubectlArgv, lastLine, type Manifest, type Place } from './cluster.ts'
import { Failure, exit } from './errors.ts'
import { color, duration, emit, say } from './report.ts'
import { at, containersOf, eventTime, uid } from './rollout-causes.ts'
import { judge, type Cause, type Observed, type Rollout } from './rollout-judge.ts'

export { judge, type Cause, type Observed, type Rollout } from './rollout-judge.ts'

/** ms */
const pause = 1_000
const heartbeat = 15_000
const patience = 6_000
/** Clocks that differ by less are taken as the same, ms. */
const tolerance = 2_000

export interface Watch {
  place: Place
  names: { kind: string; name: string }[]
  /** ms of this machine's clock when the change began: what ended before does not count. */
  since: number
  /** ms from `since`; then the watch ends with what it has. */
  timeout: number
  /** ms for which all must stay ready. */
  stable: number
  /** Why the watch must end, if it must. */
  lost?: () => Failure | undefined
}

/** Watches until all are ready and stay so, one has failed, or the time is over. Returns the last verdicts by `<kind> <name>`. */
export async function watch({ place, names, since, timeout, stable, lost }: Watch): Promise<Map<string, Rollout>> {
  const kinds = [...new Set(['deployments', 'statefulsets', 'jobs', ...names.map(({ kind }) => `${kind.toLowerCase()}s`)]), 'replicasets', 'pods', 'events']
  const began = Date.now()
  const { note, table } = teller(since)
  const quiet = { since: 0, why: '' }
  let verdicts = new Map<string, Rollout>(names.map(({ kind, name }) => [`${kind} ${name}`, { state: 'waiting', detail: 'not asked yet' }]))
  let restarts: Record<string, number> | undefined
  let offset = 0
  let allReady = 0
  let beat = began
  for (;;) {
    const failure = lost?.()
    if (failure) throw failure
    const asked = Date.now()
    const seen = await look(place, kinds)
    const now = Date.now()
    if (typeof seen === 'string') {
      if (!quiet.since) note(color.yellow(`  the API server does not answer (${seen}); asked again until it does`))
      quiet.since ||= asked
      quiet.why = seen
      // what was ready need not be so any more
      allReady = 0
    } else {
      if (quiet.since) note(`  the API server answers again, after ${duration(now - quiet.since)}`)
      quiet.since = 0
      restarts ??= (offset = await clockOffset(place), restartsOf(seen.pods, since + offset))
      verdicts = new Map(names.map(({ kind, name }) => [`${kind} ${name}`, verdict(place, kind, name, { ...seen, restarts: restarts! }, now + offset, since + offset, verdicts)]))
      table(verdicts)
      const all = [...verdicts.values()]
      if (all.some(({ state }) => state === 'failed')) return verdicts
      if (!all.every(({ state }) => state === 'ready')) allReady = 0
      else if (!allReady && stable) note(color.dim(`  all is ready, and must stay so for ${duration(stable)}`))
      if (all.every(({ state }) => state === 'ready') && now - (allReady ||= now) >= stable) return verdicts
    }
    if (now - since > timeout) return verdicts
    if (now - beat >= heartbeat && !allReady) {
      beat = now
      const open = [...verdicts].filter(([, { state }]) => state !== 'ready').map(([name, { detail }]) => `${name} (${detail})`)
      note(color.dim(`  ${duration(now - since)}: ${quiet.since ? `no answer for ${duration(now - quiet.since)}: ${quiet.why}` : `waiting for ${open.join(', ')}`}`))
    }
    await new Promise(done => setTimeout(done, pause))
  }
}

function verdict(place: Place, kind: string, name: string, seen: Observed, now: number, since: number, before: Map<string, Rollout>): Rollout {
  const one = [...seen.workloads, ...seen.jobs].find(one => one.kind === kind && one.metadata.name === name)
  const last = before.get(`${kind} ${name}`)
  // a Job goes some time after its end
  if (!one) return kind === 'Job' && last?.state === 'ready' ? last : { state: 'waiting', detail: 'not created' }
  const found = judge(one, seen, now, since)
  if (found.cause) found.cause.next = found.cause.next.replace(/^kubectl\b/, kubectlArgv(place).join(' '))
  return found
}

/** What the cluster shows; in words why it does not answer. Throws Failure (refused) when it answers that it may not be asked. */
async function look(place: Place, kinds: string[]): Promise<Observed | string> {
  const output = await kubectl(place, ['get', kinds.join(','), '--output', 'json', '--request-timeout', '5s'], { nothrow: true, timeout: patience })
  if (output.code !== 0) {
    // kubectl asks again by itself for a while
    const why = output.code === 124 ? `nothing within ${duration(patience)}` : lastLine(output)
    if (/Forbidden|Unauthorized|must be logged in/i.test(why)) throw new Failure(exit.refused, `Watch ${place.namespace}`, why, { next: `${kubectlArgv(place).join(' ')} auth can-i list pods` })
    return why
  }
  const all = (JSON.parse(output.stdout) as { items: Manifest[] }).items
  const of = (...kinds: string[]) => all.filter(({ kind }) => kinds.includes(kind))
  return { workloads: of('Deployment', 'StatefulSet', 'DaemonSet'), jobs: of('Job'), replicaSets: of('ReplicaSet'), pods: of('Pod'), events: of('Event') }
}

/** ms by which the cluster's clock is ahead of this machine's. */
async function clockOffset(place: Place): Promise<number> {
  const argv = ['create', 'configmap', 'kgc-clock', '--dry-run=server', '--output', 'jsonpath={.metadata.creationTimestamp}']
  const { stdout } = await kubectl(place, argv, { nothrow: true, timeout: 10_000 })
  const offset = at(stdout) - Date.now()
  return stdout && Math.abs(offset) > tolerance ? offset : 0
}

/** How often the containers of pods that were there before the change had been started anew. */
function restartsOf(pods: Manifest[], since: number): Record<string, number> {
  const old = pods.filter(({ metadata }) => at((metadata as Record<string, any>).creationTimestamp) < since - tolerance)
  return Object.fromEntries(old.flatMap(pod => containersOf(pod).map(({ status }) => [`${uid(pod)} ${status.name}`, status.restartCount as number])))
}

const symbols = { waiting: '…', ready: '✔', failed: '✘' }
const paint = { waiting: color.yellow, ready: color.green, failed: color.red }

/** A live table on a terminal, elsewhere a line for each change. Lines in between go through `note`: the table is drawn anew below. */
function teller(since: number): { note: (text: string) => void; table: (verdicts: Map<string, Rollout>) => void } {
  const live = process.stderr.isTTY && !process.env.NO_COLOR
  let shown = new Map<string, string>()
  let drawn = false
  const note = (text: string) => {
    drawn = false
    say(text)
  }
  const table = (verdicts: Map<string, Rollout>) => {
    const all = [...verdicts]
    const width = Math.max(...all.map(([name]) => name.length)) + 2
    const line = ([name, { state, detail }]: (typeof all)[number]) => paint[state](`  ${symbols[state]} ${name.padEnd(width)}${detail.split('\n')[0]!}`.slice(0, live ? (process.stderr.columns || 80) - 1 : 400))
    const changed = all.filter(([name, { state, detail }]) => shown.get(name) !== `${state} ${detail}`)
    if (live && changed.length) say(`${drawn ? `\u001b[${all.length}A` : ''}${all.map(one => `\u001b[2K${line(one)}`).join('\n')}`)
    drawn ||= changed.length > 0
    if (!live) for (const one of changed) say(`${line(one)} (${duration(Date.now() - since)})`)
    for (const [name, { state, detail }] of changed) emit('workload', { name, state, detail })
    shown = new Map(all.map(([name, { state, detail }]) => [name, `${state} ${detail}`]))
  }
  return { note, table }
}

/** What the pod itself says: the last 40 lines of its log, before its last restart and now, and its last 5 events. */
export async function evidence(cause: Cause, place: Place): Promise<string> {
  const { pod, container } = cause
  const log = async (...more: string[]) => {
    if (!container) return ''
    const output = await kubectl(place, ['logs', pod, '--container', container, '--tail', '40', ...more], { nothrow: true, timeout: 15_000 })
    return output.code === 0 ? stripVTControlCharacters(output.stdout).trimEnd() : ''
  }
  const [before, now, events] = await Promise.all([log('--previous'), log(), eventLines(cause, place)])
  const part = (title: string, text: string) => (text ? [`${title}:`, ...text.split('\n').map(line => `  ${line.slice(0, 500)}`)] : [])
  return [
    ...(before === now ? [] : part(`log of ${container} before its last restart, last 40 lines`, before)),
    ...part(`log of ${container}, last 40 lines`, now),
    ...part('last events', events),
  ].join('\n')
}

async function eventLines({ pod, kind, name }: Cause, place: Place): Promise<string> {
  const output = await kubectl(place, ['get', 'events', '--output', 'json'], { nothrow: true, timeout: 15_000 })
  if (output.code !== 0) return ''
  const of = ({ involvedObject: one }: Manifest) => (pod ? one.name === pod : one.name === name && one.kind === kind) || (!pod && kind === 'Deployment' && one.kind === 'ReplicaSet' && one.name.startsWith(`${name}-`))
  const all = (JSON.parse(output.stdout) as { items: Manifest[] }).items.filter(of).sort((a, b) => eventTime(a) - eventTime(b))
  const times = (event: Manifest) => (event.count > 1 ? ` (${event.count} times)` : '')
  return all.slice(-5).map(event => `${new Date(eventTime(event)).toISOString().slice(11, 19)} ${event.reason}${times(event)}: ${event.message.trim().replaceAll('\n', ' ')}`).join('\n')
}
