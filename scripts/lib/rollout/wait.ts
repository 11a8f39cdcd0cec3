// Waits until workloads are ready; when one fails, throws its cause and its log.
import { type Manifest } from '../kubernetes/objects.ts'
import { kubectlArgv } from '../kubernetes/kubectl.ts'
import { Failure, exit } from '../errors.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { collectFailureLogs } from './logs.ts'
import { watchRollout } from './watch.ts'
import type { RolloutProgress } from './progress.ts'

const namesOf = (all: Manifest[]) =>
  all.map(({ kind, metadata }) => ({ kind, name: metadata.name }))
const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet']
export const isWorkload = ({ kind }: Manifest): boolean => workloadKinds.includes(kind)

/** The lock under which a rollout is waited for. */
export interface HeldLock {
  /** Writes into the lease what is being done; throws Failure (locked) when the lock is lost. */
  recordPhase: (name: string) => Promise<void>
  /** Why it is not held any more; undefined while it is. */
  lossFailure: () => Failure | undefined
  /** ms by which the cluster's clock is ahead of this machine's, as far as it matters. */
  clockOffsetMs: number
}

export interface RolloutOptions {
  environment: Environment
  /** The result block's WHAT. */
  what: string
  /** ms */
  since: number
  stableMs: number
  lock: HeldLock
  /**
   * What pods have stood before counts: nothing was applied, or what was is the way it was before.
   */
  podsUndisturbed?: boolean
  /** How many ready pods are enough for workloads that are left alone, by `<kind> <name>`. */
  minReadyReplicas?: Map<string, number>
  /** ms of the clock when all were ready, as a watch a moment ago has seen. */
  readySince?: number
  progress?: RolloutProgress
}

/**
 * Waits until workloads and Jobs are ready. Throws Failure (broken) with the cause and what its log
 * shows, or (timeout).
 */
export async function waitForRollout(wait: RolloutOptions, all: Manifest[]): Promise<void> {
  if (!all.length) return
  const { environment, what, lock } = wait
  const timeout =
    Math.max(
      600,
      ...all.map(
        ({ kind, spec }) =>
          (kind === 'Job'
            ? (spec.activeDeadlineSeconds ?? 0)
            : (spec.progressDeadlineSeconds ?? 0)) as number,
      ),
    ) * 1000
  const statuses = await watchRollout({
    ...wait,
    names: namesOf(all),
    timeout,
    lossFailure: lock.lossFailure,
    clockOffsetMs: lock.clockOffsetMs,
  })
  const list = [...statuses]
  const bad = list.find(([, { state }]) => state === 'failed')
  if (bad) {
    const [name, { detail, cause }] = bad
    if (!cause) throw new Failure(exit.broken, what, `${name}: ${detail}`)
    const where = [
      cause.pod && `pod ${cause.pod}`,
      cause.container && `container ${cause.container}`,
    ]
      .filter(Boolean)
      .join(', ')
    const how = `${cause.reason}${cause.exitCode === undefined ? '' : `, exit ${cause.exitCode}`}${cause.message ? `: ${cause.message}` : ''}`
    const why = `${cause.kind} ${cause.name}${where ? ` (${where})` : ''}: ${how}`
    const text = [
      cause.likely && `likely cause: ${cause.likely}`,
      cause.lastLogLine && `before its pod was removed, ${cause.lastLogLine}`,
      await collectFailureLogs(cause, environment),
    ]
      .filter(Boolean)
      .join('\n')
    throw Object.assign(new Failure(exit.broken, what, why, { evidence: text, next: cause.next }), {
      cause,
    })
  }
  const open = list.filter(([, { state }]) => state !== 'ready')
  if (open.length)
    throw new Failure(
      exit.timeout,
      what,
      `not ready: ${open.map(([name, { detail }]) => `${name} (${detail})`).join(', ')}`,
      {
        next: `${kubectlArgv(environment).join(' ')} get pods`,
      },
    )
}
