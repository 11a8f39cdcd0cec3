// Waits for a rollout on Kubernetes, truthfully: asks the cluster, lets judge.ts judge, narrates.
import { kubectl, kubectlArgv, lastLine, type Manifest } from '../cluster/cluster.ts'
import { Failure, exit } from '../errors.ts'
import type { Place } from '../cluster/place.ts'
import { duration } from '../report.ts'
import { listener } from '../listen.ts'
import { bell, type Bell } from './bell.ts'
import { at, containersOf, uid } from './objects.ts'
import { judge, type Observed, type Rollout } from './judge.ts'
import { stability } from './stability.ts'
import { narrator, type Narrator } from './tell.ts'
import { ask } from './words.ts'
import { hideNew } from '../deploy/secrets.ts'

export { evidence } from './evidence.ts'
export { judge, type Cause, type Observed, type Rollout } from './judge.ts'

/** ms */
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
  /** Nothing has been done that pods which were ready before could suffer from: then what they have stood counts. */
  settled?: boolean
  /** How many ready pods are enough for workloads that are left alone, by `<kind> <name>`. */
  least?: Map<string, number>
  /** ms of this machine's clock when a watch before this one saw all of them ready. */
  seen?: number
  /** ms by which the cluster's clock is ahead of this machine's, where that is known. */
  ahead?: number
  /** Says what happens. */
  tell?: Narrator
  /** Why the watch must end, if it must. */
  lost?: () => Failure | undefined
}

/** Watches until all are ready and stay so, one has failed, or the time is over. Returns the last verdicts by `<kind> <name>`. */
export async function watch(options: Watch): Promise<Map<string, Rollout>> {
  const changes: { bell?: Bell } = {}
  return look(options, changes).finally(() => changes.bell?.end())
}

async function look(options: Watch, changes: { bell?: Bell }): Promise<Map<string, Rollout>> {
  const { place, names, since, timeout, stable, settled, lost, tell = narrator(since) } = options
  const kinds = [
    ...new Set([
      'deployments',
      'statefulsets',
      'jobs',
      ...names.map(({ kind }) => `${kind.toLowerCase()}s`),
    ]),
    'replicasets',
    'pods',
    'events',
  ]
  tell.begin()
  let verdicts = new Map<string, Rollout>(
    names.map(({ kind, name }) => [
      `${kind} ${name}`,
      { state: 'waiting', detail: 'not asked yet' },
    ]),
  )
  let start: Start | undefined
  const [listen, nobody] = [listener(since, 15_000), new Map<string, string>()]
  let heard = nobody
  const stood = stability(stable, Boolean(settled), tell, options.seen)
  for (;;) {
    const failure = lost?.()
    if (failure) throw failure
    const asked = Date.now()
    const [seen, ahead] = await Promise.all([
      see(place, kinds),
      start?.ahead ?? options.ahead ?? clockAhead(place),
    ])
    let left: number | undefined
    if (typeof seen === 'string') {
      tell.silent(seen, asked)
      // what was ready need not be so any more
      stood.forget()
    } else {
      tell.answers()
      start ??= startOf(seen, since, ahead)
      verdicts = new Map(
        names.map(({ kind, name }) => [
          `${kind} ${name}`,
          verdict(options, kind, name, seen, start!, verdicts),
        ]),
      )
      const failed = [...verdicts.values()].some(({ state }) => state === 'failed')
      // a container's last words may hold a secret
      if (failed) await hideNew(place)
      heard = failed
        ? nobody
        : await listen(
            [...verdicts].filter(([, { speaks }]) => speaks).map(([name]) => name),
            names =>
              ask(
                place,
                names.map(name => verdicts.get(name)!.speaks!),
              ),
          )
      tell.table(verdicts, heard)
      left = stood.left([...verdicts.values()], ahead)
      if (failed || left === 0) return verdicts
    }
    // who is ready in time may take the time to prove it
    if (left === undefined && Date.now() - since > timeout) return verdicts
    if (left === undefined) tell.beat(verdicts, heard)
    changes.bell ??= bell(place, [
      'pods',
      ...new Set(names.map(({ kind }) => `${kind.toLowerCase()}s`)),
    ])
    await changes.bell.rings(left)
  }
}

function verdict(
  { place, since, least }: Watch,
  kind: string,
  name: string,
  seen: Observed,
  { ahead, restarts }: Start,
  before: Map<string, Rollout>,
): Rollout {
  const one = [...seen.workloads, ...seen.jobs].find(
    one => one.kind === kind && one.metadata.name === name,
  )
  const last = before.get(`${kind} ${name}`)
  // a Job goes some time after its end
  if (!one)
    return kind === 'Job' && last?.state === 'ready'
      ? last
      : { state: 'waiting', detail: 'not created' }
  const found = judge(
    one,
    { ...seen, restarts },
    Date.now() + ahead,
    since + ahead,
    least?.get(`${kind} ${name}`),
  )
  if (found.cause)
    found.cause.next = found.cause.next.replace(/^kubectl\b/, kubectlArgv(place).join(' '))
  return found
}

/** What the cluster shows; in words why it does not answer. Throws Failure (refused) when it answers that it may not be asked. */
async function see(place: Place, kinds: string[]): Promise<Observed | string> {
  const output = await kubectl(
    place,
    ['get', kinds.join(','), '--output', 'json', '--request-timeout', '5s'],
    { nothrow: true, timeout: patience },
  )
  if (output.code !== 0) {
    // kubectl asks again by itself for a while
    const why = output.code === 124 ? `nothing within ${duration(patience)}` : lastLine(output)
    if (/Forbidden|Unauthorized|must be logged in/i.test(why))
      throw new Failure(exit.refused, `Watch ${place.namespace}`, why, {
        next: `${kubectlArgv(place).join(' ')} auth can-i list pods`,
      })
    return why
  }
  const all = (JSON.parse(output.stdout) as { items: Manifest[] }).items
  const of = (...kinds: string[]) => all.filter(({ kind }) => kinds.includes(kind))
  return {
    workloads: of('Deployment', 'StatefulSet', 'DaemonSet'),
    jobs: of('Job'),
    replicaSets: of('ReplicaSet'),
    pods: of('Pod'),
    events: of('Event'),
  }
}

/** What was so when the watch began. */
interface Start {
  /** ms by which the cluster's clock is ahead of this machine's. */
  ahead: number
  /** How often the containers of pods that were there before the change had been started anew. */
  restarts: Record<string, number>
}

function startOf({ pods }: Observed, since: number, ahead: number): Start {
  const old = pods.filter(
    ({ metadata }) =>
      at((metadata as Record<string, any>).creationTimestamp) < since + ahead - tolerance,
  )
  const counts = old.flatMap(pod =>
    containersOf(pod).map(({ status }) => [
      `${uid(pod)} ${status.name}`,
      status.restartCount as number,
    ]),
  )
  return { ahead, restarts: Object.fromEntries(counts) }
}

async function clockAhead(place: Place): Promise<number> {
  const argv = [
    'create',
    'configmap',
    'kgc-clock',
    '--dry-run=server',
    '--output',
    'jsonpath={.metadata.creationTimestamp}',
  ]
  const { stdout } = await kubectl(place, argv, { nothrow: true, timeout: patience })
  const ahead = at(stdout) - Date.now()
  return stdout && Math.abs(ahead) > tolerance ? ahead : 0
}
