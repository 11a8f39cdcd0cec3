// A change to an environment: what it is, what its phases have found, and how it is written down.
import type { GitHubDeployment } from './github-deployment.ts'
import type { Manifest } from '../kubernetes/kubectl.ts'
import type { Lock } from './lock/lock.ts'
import { resourceId, type ManifestChanges } from './apply/order.ts'
import type { Environment } from '../kubernetes/environment.ts'
import type { PreflightResult, ReleaseSource } from './preflight.ts'
import type { RolloutOptions } from '../rollout/wait.ts'
import { redact } from '../redact.ts'
import {
  hasSameManifests,
  storeRelease,
  type ReleaseEnding,
  type StoredRelease,
} from './releases.ts'
import { createRolloutProgress } from '../rollout/progress.ts'
import { minReadyReplicas } from '../smoke/workload-health.ts'

export interface ChangePlan extends ManifestChanges {
  removed: Manifest[]
  generated: Manifest[]
  jobs: Manifest[]
}

/** What is asked for. */
export interface DeployRequest {
  place: Environment
  /** `deploy` or `rollback`. */
  verb: 'deploy' | 'rollback'
  source: ReleaseSource
  /** Which release is put back; throws when it may not be. */
  choose: (history: StoredRelease[]) => StoredRelease | undefined
  prune: boolean
  yes: boolean
}

/**
 * Of the release that is deployed, of the one before (or gone, if that has none), or one of the
 * two.
 */
export type AppliedVersion = 'new' | 'old' | 'unknown'

export interface Change extends DeployRequest {
  started: number
  found?: PreflightResult
  plan?: ChangePlan
  lock?: Lock
  release?: StoredRelease
  /** What GitHub is told of it. */
  announced?: GitHubDeployment | undefined
  /** The first message to people, which is on its way. */
  told?: Promise<string[]>
  /** People are being told how it ended, or have been. */
  over?: Promise<unknown>
  /** What has been applied, or may have been; without Jobs. */
  touched: Manifest[]
  /**
   * Which release each of them is of now, by its title; a Job runs once, and what it has done
   * stays.
   */
  stands: Map<string, AppliedVersion>
  /** What was removed at the end, by its title. */
  removed: Set<string>
  /** How its workloads are waited for, since the first object was applied. */
  wait?: RolloutOptions
  /** The phase that it is in. */
  phase: string
  /** How it ended, for the last line. */
  ended?: { event: object; text: string }
}

export type Phase = [name: string, work: (change: Change) => Promise<void>]

/** Neither does anything change, nor is there anything to record. */
export function isNoChange({ plan, found }: Change): boolean {
  const { created, changed, jobs, removed } = plan!
  const [newest] = found!.history
  return (
    ![created, changed, jobs, removed].some(list => list.length) &&
    newest?.ending === 'succeeded' &&
    hasSameManifests(newest, { ...newest, manifests: found!.manifests })
  )
}

/**
 * How the workloads among `all` are waited for from now on. `settled`: nothing has been done that
 * pods could suffer from. Those that are not `touched` need no more pods than the least: what an
 * autoscaler adds may find no room, and that is no fault of the change.
 */
export function createRolloutOptions(
  { place, verb, lock }: Change,
  settled: boolean,
  all: Manifest[],
  touched: Manifest[],
): RolloutOptions {
  const since = Date.now()
  const what = `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${place.name}`
  const names = new Set(touched.map(resourceId))
  const alone = all.filter(
    one => ['Deployment', 'StatefulSet'].includes(one.kind) && !names.has(resourceId(one)),
  )
  const least = new Map(alone.map(one => [resourceId(one), minReadyReplicas(one, all)]))
  return {
    place,
    what,
    since,
    stable: place.stableSeconds * 1000,
    settled,
    least,
    lock: lock!,
    tell: createRolloutProgress(since),
  }
}

/** Writes down how it ended. */
export async function finishRelease(
  { place, release, lock }: Change,
  ending: ReleaseEnding,
  cause?: string,
): Promise<void> {
  Object.assign(release!, {
    ending,
    ended: new Date().toISOString(),
    ...(cause ? { cause: redact(cause).slice(0, 300) } : {}),
  })
  await storeRelease(place, release!, 'replace', lock?.lost)
}
