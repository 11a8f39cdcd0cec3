// A change to an environment: what is asked for, what is known of it, and how it is written down.
import type { GitHubDeployment } from './github-deployment.ts'
import { resourceId, type Manifest } from '../kubernetes/objects.ts'
import type { Lock } from './lock/lock.ts'
import { type ManifestChanges } from './apply/order.ts'
import type { BackupPlanner, PlannedBackup } from './backup/step.ts'
import type { Environment } from '../kubernetes/environment.ts'
import type { PreflightResult, ReleaseSource } from './preflight.ts'
import type { PasswordServer } from '../kubernetes/rotation/servers.ts'
import type { RolloutOptions } from '../rollout/wait.ts'
import type { PodWatch } from './rotation/gaps.ts'
import type { DeployTarget } from './target.ts'
import { redact } from '../redact.ts'
import {
  findCurrentRelease,
  hasSameManifests,
  type ReleaseEnding,
  type StoredRelease,
} from '../kubernetes/releases.ts'
import { createRolloutProgress } from '../rollout/progress.ts'
import { minReadyReplicas } from '../kubernetes/replicas.ts'

export interface ChangePlan extends ManifestChanges {
  removed: Manifest[]
  generated: Manifest[]
  jobs: Manifest[]
  /** What saves the data that it migrates. */
  backup?: PlannedBackup | undefined
}

/** What is asked for. */
export interface DeployRequest {
  environment: Environment
  target: DeployTarget
  /** `deploy` or `rollback`. */
  verb: 'deploy' | 'rollback'
  source: ReleaseSource
  /** Which release is restored; throws when it may not be. */
  chooseRelease: (history: StoredRelease[]) => StoredRelease | undefined
  prune: boolean
  yes: boolean
  /** How data is saved before it is migrated; a rollback migrates none. */
  backups?: BackupPlanner | undefined
}

/**
 * Of the release that is deployed, of the one before (or gone, if that has none), or one of the
 * two.
 */
export type AppliedVersion = 'new' | 'old' | 'unknown'

/** A change that holds the lock: all that is known of it, and how far it has come. */
export interface Change extends DeployRequest {
  /** ms */
  started: number
  facts: PreflightResult
  plan: ChangePlan
  lock: Lock
  release: StoredRelease
  /** What GitHub is told of it. */
  githubDeployment?: GitHubDeployment | undefined
  /** The first message to people, which is on its way. */
  startNotified?: Promise<string[]>
  /** People are being told how it ended, or have been. */
  endNotified?: Promise<unknown>
  /** What has been applied, or may have been; without Jobs. */
  appliedObjects: Manifest[]
  /**
   * Which release each of them is of now, by its title; a Job runs once, and what it has done
   * stays.
   */
  versions: Map<string, AppliedVersion>
  /** What it does for passwords of servers. */
  rotation: {
    /** The servers that had to be told a new password. */
    changed: PasswordServer[]
    /** Those that restart for it, after all that reads it. */
    late: Manifest[]
    pods?: PodWatch
  }
  /** What was removed at the end, by its title. */
  prunedIds: Set<string>
  /** How far it has come: what a failure may do follows from it. */
  reached: ChangeProgress
  /** The step that it is in, for people. */
  step: string
}

/**
 * `locked`: it holds the lock; its release is not recorded yet. `recorded`: its release is written.
 * `applied`: all of it is in place. `verified`: the smoke test has passed; what is left is to
 * record it.
 */
export type ChangeProgress = 'locked' | 'recorded' | 'applied' | 'verified'

/** How a change ended, for machines and for people. */
export interface ChangeResult {
  event: object
  text: string
}

/** Neither does anything change, nor is there anything to record. */
export function isNoChange({ plan, facts }: Pick<Change, 'plan' | 'facts'>): boolean {
  const { created, changed, jobs, removed } = plan
  const [newest] = facts.history
  return (
    ![created, changed, jobs, removed].some(list => list.length) &&
    newest?.ending === 'succeeded' &&
    hasSameManifests(newest, { ...newest, manifests: facts.manifests })
  )
}

/**
 * How the workloads among `all` are waited for from now on. `podsUndisturbed`: nothing has been done
 * that pods could suffer from. Those that are not `touched` need no more pods than the least: what an
 * autoscaler adds may find no room, and that is no fault of the change.
 */
export function createRolloutOptions(
  { environment, verb, lock }: Pick<Change, 'environment' | 'verb' | 'lock'>,
  podsUndisturbed: boolean,
  all: Manifest[],
  touched: Manifest[],
): RolloutOptions {
  const since = Date.now()
  const what = `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${environment.name}`
  const names = new Set(touched.map(resourceId))
  const alone = all.filter(
    one => ['Deployment', 'StatefulSet'].includes(one.kind) && !names.has(resourceId(one)),
  )
  return {
    environment,
    what,
    since,
    stableMs: environment.stableSeconds * 1000,
    podsUndisturbed,
    minReadyReplicas: new Map(alone.map(one => [resourceId(one), minReadyReplicas(one, all)])),
    lock,
    progress: createRolloutProgress(since),
  }
}

/** The release that is in place when all has gone well: the one that serves, when nothing changes. */
export function numberInPlace(change: Change): number {
  const current = isNoChange(change) ? findCurrentRelease(change.facts.history) : undefined
  return (current ?? change.release).number
}

/** Writes down how it ended. */
export async function finishRelease(
  { target, release, lock }: Change,
  ending: ReleaseEnding,
  cause?: string,
): Promise<void> {
  Object.assign(release, {
    ending,
    ended: new Date().toISOString(),
    ...(cause ? { cause: redact(cause).slice(0, 300) } : {}),
  })
  await target.releases.store(release, 'replace', lock.lossFailure)
}
