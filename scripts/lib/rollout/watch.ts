// Waits for a rollout on Kubernetes: snapshot.ts reads the cluster, workload.ts judges, progress is
// shown.
import { kubectlArgv } from '../kubernetes/kubectl.ts'
import type { Failure } from '../errors.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { createLogPoller } from '../log-poller.ts'
import { createChangeSignal, type ChangeSignal } from './change-signal.ts'
import { workloadResourcesOf } from '../kubernetes/objects.ts'
import { workloadStatus, type ClusterSnapshot } from './workload.ts'
import { countRestarts, fetchSnapshot } from './snapshot.ts'
import type { WorkloadStatus } from './status.ts'
import { trackStability } from './stability.ts'
import { createRolloutProgress, type RolloutProgress } from './progress.ts'
import { fetchLastLogLines } from './last-log-lines.ts'
import { refreshRedaction } from '../kubernetes/secret-values.ts'

export interface RolloutWatchOptions {
  environment: Environment
  names: { kind: string; name: string }[]
  /** ms of this machine's clock when the change began: what ended before does not count. */
  since: number
  /** ms from `since`; then the watch ends with what it has. */
  timeout: number
  /** ms for which all must stay ready. */
  stableMs: number
  /**
   * Nothing has been done that pods which were ready before could suffer from: then what they have
   * stood counts.
   */
  podsUndisturbed?: boolean
  /** How many ready pods are enough for workloads that are left alone, by `<kind> <name>`. */
  minReadyReplicas?: Map<string, number>
  /** ms of this machine's clock when a watch before this one saw all of them ready. */
  readySince?: number
  /** ms by which the cluster's clock is ahead of this machine's, as far as it matters. */
  clockOffsetMs?: number
  /** Says what happens. */
  progress?: RolloutProgress
  /** Why the watch must end, if it must. */
  lossFailure?: () => Failure | undefined
}

/**
 * Watches until all are ready and stay so, one has failed, or the time is over. Returns the last
 * verdicts by `<kind> <name>`.
 */
export async function watchRollout(
  options: RolloutWatchOptions,
): Promise<Map<string, WorkloadStatus>> {
  const changes: { changeSignal?: ChangeSignal } = {}
  return pollRollout(options, changes).finally(() => changes.changeSignal?.close())
}

async function pollRollout(
  options: RolloutWatchOptions,
  changes: { changeSignal?: ChangeSignal },
): Promise<Map<string, WorkloadStatus>> {
  const {
    environment,
    names,
    since,
    timeout,
    stableMs,
    podsUndisturbed,
    lossFailure,
    clockOffsetMs = 0,
    progress = createRolloutProgress(since),
  } = options
  const kinds = names.map(({ kind }) => kind)
  const resources = [
    ...workloadResourcesOf(['Deployment', 'StatefulSet', 'Job', ...kinds]),
    'apps/v1/replicasets',
    'v1/pods',
    'v1/events',
  ]
  progress.start()
  let verdicts = new Map<string, WorkloadStatus>(
    names.map(({ kind, name }) => [
      `${kind} ${name}`,
      { state: 'waiting', detail: 'not asked yet' },
    ]),
  )
  let restarts: Record<string, number> | undefined
  const [listen, noLines] = [createLogPoller(since, 15_000), new Map<string, string>()]
  let lastLogLines = noLines
  const stability = trackStability(stableMs, Boolean(podsUndisturbed), progress, options.readySince)
  for (;;) {
    const failure = lossFailure?.()
    if (failure) throw failure
    const asked = Date.now()
    const snapshot = await fetchSnapshot(environment, resources)
    let remainingMs: number | undefined
    if (typeof snapshot === 'string') {
      progress.reportNoAnswer(snapshot, asked)
      // what was ready need not be so any more
      stability.reset()
    } else {
      progress.reportAnswer()
      const before = (restarts ??= countRestarts(snapshot, since + clockOffsetMs))
      verdicts = new Map(
        names.map(({ kind, name }) => [
          `${kind} ${name}`,
          statusByName(options, kind, name, { ...snapshot, restarts: before }, verdicts),
        ]),
      )
      const failed = [...verdicts.values()].some(({ state }) => state === 'failed')
      // a container's last words may hold a secret
      if (failed) await refreshRedaction(environment)
      keepLogLines(verdicts, lastLogLines)
      lastLogLines = failed
        ? noLines
        : await listen(
            [...verdicts].filter(([, { logSource }]) => logSource).map(([name]) => name),
            names =>
              fetchLastLogLines(
                environment,
                names.map(name => verdicts.get(name)!.logSource!),
              ),
          )
      progress.showTable(verdicts, lastLogLines)
      remainingMs = stability.remainingMs([...verdicts.values()], clockOffsetMs)
      if (failed || remainingMs === 0) return verdicts
    }
    // who is ready in time may take the time to prove it
    if (remainingMs === undefined && Date.now() - since > timeout) return verdicts
    if (remainingMs === undefined) progress.showHeartbeat(verdicts, lastLogLines)
    changes.changeSignal ??= createChangeSignal(environment, [
      'v1/pods',
      ...workloadResourcesOf(kinds),
    ])
    await changes.changeSignal.waitForChange(remainingMs)
  }
}

/** What was last read of the log of a pod that is gone now. */
function keepLogLines(verdicts: Map<string, WorkloadStatus>, lines: Map<string, string>): void {
  for (const [name, { cause }] of verdicts) {
    const line = lines.get(name)
    if (cause && !cause.pod && line) cause.lastLogLine = line
  }
}

function statusByName(
  { environment, since, minReadyReplicas, clockOffsetMs = 0 }: RolloutWatchOptions,
  kind: string,
  name: string,
  snapshot: ClusterSnapshot,
  before: Map<string, WorkloadStatus>,
): WorkloadStatus {
  const one = [...snapshot.workloads, ...snapshot.jobs].find(
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
    snapshot,
    Date.now() + clockOffsetMs,
    since + clockOffsetMs,
    minReadyReplicas?.get(`${kind} ${name}`),
  )
  if (found.cause)
    found.cause.next = found.cause.next.replace(/^kubectl\b/, kubectlArgv(environment).join(' '))
  return found
}
