// Waits for a rollout on Kubernetes, truthfully: asks the cluster, lets rollout-judge.ts judge, narrates.
import { stripVTControlCharacters } from 'node:util'
import { kubectl, kubectlArgv, lastLine, type Manifest, type Place } from './cluster.ts'
import { Failure, exit } from './errors.ts'
import { color, duration } from './report.ts'
import { at, containersOf, eventTime, uid } from './rollout-objects.ts'
import { judge, type Cause, type Observed, type Rollout } from './rollout-judge.ts'
import { narrator } from './rollout-tell.ts'

export { judge, type Cause, type Observed, type Rollout } from './rollout-judge.ts'

/** ms */
const pause = 1_000
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
  const tell = narrator(since)
  let verdicts = new Map<string, Rollout>(names.map(({ kind, name }) => [`${kind} ${name}`, { state: 'waiting', detail: 'not asked yet' }]))
  let start: Start | undefined
  let readySince = 0
  for (;;) {
    const failure = lost?.()
    if (failure) throw failure
    const asked = Date.now()
    const seen = await look(place, kinds)
    if (typeof seen === 'string') {
      tell.silent(seen, asked)
      // what was ready need not be so any more
      readySince = 0
    } else {
      tell.answers()
      start ??= await startOf(place, seen, since)
      verdicts = new Map(names.map(({ kind, name }) => [`${kind} ${name}`, verdict(place, kind, name, seen, start!, since, verdicts)]))
      tell.table(verdicts)
      const states = [...verdicts.values()].map(({ state }) => state)
      if (states.includes('failed')) return verdicts
      const ready = states.every(state => state === 'ready')
      if (ready && !readySince && stable) tell.note(color.dim(`  all is ready, and must stay so for ${duration(stable)}`))
      readySince = ready ? readySince || Date.now() : 0
      if (ready && Date.now() - readySince >= stable) return verdicts
    }
    if (Date.now() - since > timeout) return verdicts
    if (!readySince) tell.beat(verdicts)
    await new Promise(done => setTimeout(done, pause))
  }
}

function verdict(place: Place, kind: string, name: string, seen: Observed, { offset, restarts }: Start, since: number, before: Map<string, Rollout>): Rollout {
  const one = [...seen.workloads, ...seen.jobs].find(one => one.kind === kind && one.metadata.name === name)
  const last = before.get(`${kind} ${name}`)
  // a Job goes some time after its end
  if (!one) return kind === 'Job' && last?.state === 'ready' ? last : { state: 'waiting', detail: 'not created' }
  const found = judge(one, { ...seen, restarts }, Date.now() + offset, since + offset)
  if (found.cause) found.cause.next = found.cause.next.replace(/^kubectl\b/, kubectlArgv(place).join(' '))
  return found
}

/** What the cluster shows; in words why it does not answer. Throws Failure (refused) when it answers that it may not be asked. */
async function look(place: Place, kinds: string[]): Promise<Observed | string> {
  const output = await kubectl(place, ['get', kinds.join(','), '--output', 'json', '--request-timeout', '5s'], { nothrow: true, timeout: patience })
  if (output.code !== 0) {
    // kubectl asks again by itself for a while
    const why = output.code === 124 ? `nothing within ${duration(patience)}` : lastLine(output)
    if (/Forbidden|Unauthorized|must be logged in/i.test(why))
      throw new Failure(exit.refused, `Watch ${place.namespace}`, why, { next: `${kubectlArgv(place).join(' ')} auth can-i list pods` })
    return why
  }
  const all = (JSON.parse(output.stdout) as { items: Manifest[] }).items
  const of = (...kinds: string[]) => all.filter(({ kind }) => kinds.includes(kind))
  return { workloads: of('Deployment', 'StatefulSet', 'DaemonSet'), jobs: of('Job'), replicaSets: of('ReplicaSet'), pods: of('Pod'), events: of('Event') }
}

/** What was so when the watch began. */
interface Start {
  /** ms by which the cluster's clock is ahead of this machine's. */
  offset: number
  /** How often the containers of pods that were there before the change had been started anew. */
  restarts: Record<string, number>
}

async function startOf(place: Place, { pods }: Observed, since: number): Promise<Start> {
  const argv = ['create', 'configmap', 'kgc-clock', '--dry-run=server', '--output', 'jsonpath={.metadata.creationTimestamp}']
  const { stdout } = await kubectl(place, argv, { nothrow: true, timeout: patience })
  const ahead = at(stdout) - Date.now()
  const offset = stdout && Math.abs(ahead) > tolerance ? ahead : 0
  const old = pods.filter(({ metadata }) => at((metadata as Record<string, any>).creationTimestamp) < since + offset - tolerance)
  const counts = old.flatMap(pod => containersOf(pod).map(({ status }) => [`${uid(pod)} ${status.name}`, status.restartCount as number]))
  return { offset, restarts: Object.fromEntries(counts) }
}

/** What the pod itself says: the last 40 lines of its log, before its last restart and now, and its last 5 events. */
export async function evidence(cause: Cause, place: Place): Promise<string> {
  const { pod, container } = cause
  const log = async (...more: string[]) => {
    if (!container) return ''
    const output = await kubectl(place, ['logs', pod, '--container', container, '--tail', '40', ...more], { nothrow: true, timeout: 15_000 })
    // the log of a container that the node has cleared away is this sentence
    return output.code === 0 && !output.stdout.startsWith('unable to retrieve container logs') ? stripVTControlCharacters(output.stdout).trimEnd() : ''
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
  const made = (one: Manifest['involvedObject']) => kind === 'Deployment' && one.kind === 'ReplicaSet' && one.name.startsWith(`${name}-`)
  const of = ({ involvedObject: one }: Manifest) => (pod ? one.name === pod : (one.name === name && one.kind === kind) || made(one))
  const all = (JSON.parse(output.stdout) as { items: Manifest[] }).items.filter(of).sort((a, b) => eventTime(a) - eventTime(b))
  const times = (event: Manifest) => (event.count > 1 ? ` (${event.count} times)` : '')
  const clock = (event: Manifest) => new Date(eventTime(event)).toISOString().slice(11, 19)
  return all.slice(-5).map(event => `${clock(event)} ${event.reason}${times(event)}: ${event.message.trim().replaceAll('\n', ' ')}`).join('\n')
}
