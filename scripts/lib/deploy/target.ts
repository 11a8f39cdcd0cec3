// Where a deploy goes: what its steps need of a target, and Kubernetes as one. A deploy to another
// kind of target brings another such object; the steps stay as they are.
import { applyInOrder, deleteObjects, type ApplyListener } from './apply/apply.ts'
import { restoreObjects, type RestorePlan } from './apply/restore-objects.ts'
import { acquireLock, type Lock } from './lock/lock.ts'
import type { Environment } from '../kubernetes/environment.ts'
import type { LockLossCheck } from '../kubernetes/kubectl-retry.ts'
import type { Manifest } from '../kubernetes/objects.ts'
import {
  pruneReleases,
  storeRelease,
  type Release,
  type StoredRelease,
} from '../kubernetes/releases.ts'
import { waitForRollout, type RolloutOptions } from '../rollout/wait.ts'
import type { SmokeTarget } from '../smoke/checks.ts'
import { createKubernetesTarget } from '../smoke/kubernetes-target.ts'

export interface DeployTarget {
  /**
   * Takes the lock for `deploy` or `rollback`; `version` is that of the lock when the pre-flight
   * read it. Throws Failure (locked) that names who holds it.
   */
  lock: (what: string, version: string) => Promise<Lock>
  releases: {
    store: (
      release: StoredRelease,
      how: 'create' | 'replace',
      lossFailure?: LockLossCheck,
    ) => Promise<void>
    /** Removes records that are not needed any more. */
    prune: (all: Release[]) => Promise<void>
  }
  apply: {
    /** Puts a change in place, in the order of its objects, and runs its Jobs. */
    change: (
      options: RolloutOptions,
      objects: Manifest[],
      jobs: Manifest[],
      onApplied: ApplyListener,
    ) => Promise<void>
    /** Restores what a change has applied. */
    restore: (
      plan: RestorePlan,
      lossFailure: LockLossCheck,
      onApplied: ApplyListener,
    ) => Promise<void>
    remove: (
      objects: Manifest[],
      lossFailure: LockLossCheck,
      onApplied: ApplyListener,
    ) => Promise<void>
  }
  /** Waits until workloads are ready. Throws Failure (broken, timeout) that names the cause. */
  watch: (options: RolloutOptions, workloads: Manifest[]) => Promise<void>
  /** Where the smoke test finds what these manifests make. */
  smokeTarget: (manifests: Manifest[]) => Promise<SmokeTarget>
}

/** An environment on Kubernetes as the target of a deploy. */
export const createKubernetesDeployTarget = (environment: Environment): DeployTarget => ({
  lock: (what, version) => acquireLock(environment, what, version),
  releases: {
    store: (release, how, lossFailure) => storeRelease(environment, release, how, lossFailure),
    prune: all => pruneReleases(environment, all),
  },
  apply: {
    change: applyInOrder,
    restore: (plan, lossFailure, onApplied) =>
      restoreObjects(environment, plan, lossFailure, onApplied),
    remove: (objects, lossFailure, onApplied) =>
      deleteObjects(environment, objects, lossFailure, onApplied),
  },
  watch: waitForRollout,
  smokeTarget: manifests => createKubernetesTarget(environment, manifests),
})
