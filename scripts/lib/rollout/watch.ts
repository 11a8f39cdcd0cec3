// Waits for a rollout on Kubernetes, truthfully: asks the cluster, lets workload.ts judge,
// narrates.
import { kubectl, kubectlArgv, lastOutputLine, type Manifest } from '../kubernetes/kubectl.ts'
import { Failure, exit } from '../errors.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { formatDuration } from '../report.ts'
import { createLogPoller } from '../log-poller.ts'
import { createChangeSignal, type ChangeSignal } from './change-signal.ts'
import { restartKey } from '../kubernetes/diagnosis/crash-loop.ts'
import { listPodContainers, selectKinds, timestampMs } from '../kubernetes/objects.ts'
import { workloadStatus, type ClusterSnapshot, type WorkloadStatus } from './workload.ts'
import { trackStability } from './stability.ts'
import { createRolloutProgress, type RolloutProgress } from './progress.ts'
import { fetchLastLogLines } from './last-log-lines.ts'
import { refreshRedaction } from '../kubernetes/secret-values.ts'

export { collectFailureLogs } from './logs.ts'
export {
  workloadStatus,
  type FailureCause,
  type ClusterSnapshot,
  type WorkloadStatus,
} from './workload.ts'

/** ms */
const apiTimeoutMs = 6_000
/** Clocks that differ by less are taken as the same, ms. */
const clockToleranceMs = 2_000

export interface RolloutWatchOptions {
  environment: Environment
  names: { kind: string; name: string }[]
  /** ms of this machine's clock when the change began: what ended before does not count. */
  since: number
  /** ms from `since`; then the watch ends with what it has. */
  timeout: number
  /** ms for which all must stay ready. */
  stable: number
  /**
   * Nothing has been done that pods which were ready before could suffer from: then what they have
   * stood counts.
   */
  settled?: boolean
  /** How many ready pods are enough for workloads that are left alone, by `<kind> <name>`. */
  least?: Map<string, number>
  /** ms of this machine's clock when a watch before this one saw all of them ready. */
  seen?: number
  /** ms by which the cluster's clock is ahead of this machine's, where that is known. */
  ahead?: number
  /** Says what happens. */
  tell?: RolloutProgress
  /** Why the watch must end, if it must. */
  lost?: () => Failure | undefined
}

/**
 * Watches until all are ready and stay so, one has failed, or the time is over. Returns the last
 * verdicts by `<kind> <name>`.
 */
export async function watchRollout(
  options: RolloutWatchOptions,
): Promise<Map<string, WorkloadStatus>> {
  const changes: { bell?: ChangeSignal } = {}
  return pollRollout(options, changes).finally(() => changes.bell?.close())
}

async function pollRollout(
  options: RolloutWatchOptions,
  changes: { bell?: ChangeSignal },
): Promise<Map<string, WorkloadStatus>> {
  const {
    environment,
    names,
    since,
    timeout,
    stable,
    settled,
    lost,
    tell = createRolloutProgress(since),
  } = options
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
  tell.start()
  let verdicts = new Map<string, WorkloadStatus>(
    names.map(({ kind, name }) => [
      `${kind} ${name}`,
      { state: 'waiting', detail: 'not asked yet' },
    ]),
  )
  let start: WatchStart | undefined
  const [listen, nobody] = [createLogPoller(since, 15_000), new Map<string, string>()]
  let heard = nobody
  const stood = trackStability(stable, Boolean(settled), tell, options.seen)
  for (;;) {
    const failure = lost?.()
    if (failure) throw failure
    const asked = Date.now()
    const [seen, ahead] = await Promise.all([
      fetchSnapshot(environment, kinds),
      start?.ahead ?? options.ahead ?? measureClockOffset(environment),
    ])
    let left: number | undefined
    if (typeof seen === 'string') {
      tell.reportNoAnswer(seen, asked)
      // what was ready need not be so any more
      stood.reset()
    } else {
      tell.reportAnswer()
      start ??= createWatchStart(seen, since, ahead)
      verdicts = new Map(
        names.map(({ kind, name }) => [
          `${kind} ${name}`,
          statusByName(options, kind, name, seen, start!, verdicts),
        ]),
      )
      const failed = [...verdicts.values()].some(({ state }) => state === 'failed')
      // a container's last words may hold a secret
      if (failed) await refreshRedaction(environment)
      heard = failed
        ? nobody
        : await listen(
            [...verdicts].filter(([, { speaks }]) => speaks).map(([name]) => name),
            names =>
              fetchLastLogLines(
                environment,
                names.map(name => verdicts.get(name)!.speaks!),
              ),
          )
      tell.showTable(verdicts, heard)
      left = stood.remainingMs([...verdicts.values()], ahead)
      if (failed || left === 0) return verdicts
    }
    // who is ready in time may take the time to prove it
    if (left === undefined && Date.now() - since > timeout) return verdicts
    if (left === undefined) tell.showHeartbeat(verdicts, heard)
    changes.bell ??= createChangeSignal(environment, [
      'pods',
      ...new Set(names.map(({ kind }) => `${kind.toLowerCase()}s`)),
    ])
    await changes.bell.waitForChange(left)
  }
}

function statusByName(
  { environment, since, least }: RolloutWatchOptions,
  kind: string,
  name: string,
  seen: ClusterSnapshot,
  { ahead, restarts }: WatchStart,
  before: Map<string, WorkloadStatus>,
): WorkloadStatus {
  const one = [...seen.workloads, ...seen.jobs].find(
    one => one.kind === kind && one.metadata.name === name,
  )
  const last = before.get(`${kind} ${name}`)
  // a Job goes some time after its end
  if (!one)
    return kind === 'Job' && last?.state === 'ready'
      ? last
      : { state: 'waiting', detail: 'not created' }
  const found = workloadStatus(
    one,
    { ...seen, restarts },
    Date.now() + ahead,
    since + ahead,
    least?.get(`${kind} ${name}`),
  )
  if (found.cause)
    found.cause.next = found.cause.next.replace(/^kubectl\b/, kubectlArgv(environment).join(' '))
  return found
}

/**
 * What the cluster shows; in words why it does not answer. Throws Failure (refused) when it answers
 * that it may not be asked.
 */
async function fetchSnapshot(
  environment: Environment,
  kinds: string[],
): Promise<ClusterSnapshot | string> {
  const output = await kubectl(
    environment,
    ['get', kinds.join(','), '--output', 'json', '--request-timeout', '5s'],
    { nothrow: true, timeout: apiTimeoutMs },
  )
  if (output.code !== 0) {
    // kubectl asks again by itself for a while
    const why =
      output.code === 124
        ? `nothing within ${formatDuration(apiTimeoutMs)}`
        : lastOutputLine(output)
    if (/Forbidden|Unauthorized|must be logged in/i.test(why))
      throw new Failure(exit.refused, `Watch ${environment.namespace}`, why, {
        next: `${kubectlArgv(environment).join(' ')} auth can-i list pods`,
      })
    return why
  }
  const all = (JSON.parse(output.stdout) as { items: Manifest[] }).items
  return {
    workloads: selectKinds(all, 'Deployment', 'StatefulSet', 'DaemonSet'),
    jobs: selectKinds(all, 'Job'),
    replicaSets: selectKinds(all, 'ReplicaSet'),
    pods: selectKinds(all, 'Pod'),
    events: selectKinds(all, 'Event'),
  }
}

/** What was so when the watch began. */
interface WatchStart {
  /** ms by which the cluster's clock is ahead of this machine's. */
  ahead: number
  /** How often the containers of pods that were there before the change had been started anew. */
  restarts: Record<string, number>
}

function createWatchStart({ pods }: ClusterSnapshot, since: number, ahead: number): WatchStart {
  const old = pods.filter(
    ({ metadata }) => timestampMs(metadata.creationTimestamp) < since + ahead - clockToleranceMs,
  )
  const counts = old.flatMap(pod =>
    listPodContainers(pod).map(({ status }) => [restartKey(pod, status.name), status.restartCount]),
  )
  return { ahead, restarts: Object.fromEntries(counts) }
}

async function measureClockOffset(environment: Environment): Promise<number> {
  const argv = [
    'create',
    'configmap',
    'kgc-clock',
    '--dry-run=server',
    '--output',
    'jsonpath={.metadata.creationTimestamp}',
  ]
  const { stdout } = await kubectl(environment, argv, { nothrow: true, timeout: apiTimeoutMs })
  const ahead = timestampMs(stdout) - Date.now()
  return stdout && Math.abs(ahead) > clockToleranceMs ? ahead : 0
}
