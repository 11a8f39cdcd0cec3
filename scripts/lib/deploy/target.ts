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
import type { PasswordServer } from '../kubernetes/rotation/servers.ts'
import { waitForRollout, type RolloutOptions } from '../rollout/wait.ts'
import type { SmokeTarget } from '../smoke/checks.ts'
import { createKubernetesTarget } from '../smoke/kubernetes-target.ts'
import { letPodsIn, shutOutOld } from './rotation/accept.ts'
import { watchPods, type PodWatch } from './rotation/gaps.ts'
import { waitForOldReaders } from './rotation/readers.ts'

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
    /**
     * Puts a change in place, in the order of its objects, and runs its Jobs. `onSecrets`: when its secrets
     * are there, and before anything is changed that reads one.
     */
    change: (
      options: RolloutOptions,
      objects: Manifest[],
      jobs: Manifest[],
      onApplied: ApplyListener,
      onSecrets?: () => Promise<void>,
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
  /** What databases and Redis let in while passwords of Secrets change. */
  passwords: {
    /** Makes servers let in what their Secrets say. Out: those that did not before. */
    letIn: (servers: PasswordServer[], lossFailure: LockLossCheck) => Promise<PasswordServer[]>
    /** Waits until no older pod knows the servers' passwords. Out: those left. */
    waitForOldReaders: (
      manifests: Manifest[],
      servers: PasswordServer[],
      lossFailure: LockLossCheck,
    ) => Promise<string[]>
    /** Makes servers let in nothing else. */
    shutOutOld: (manifests: Manifest[], lossFailure: LockLossCheck) => Promise<void>
    /** Notes from now on how long services are away. */
    watchPods: () => PodWatch
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
  passwords: {
    letIn: (servers, lossFailure) => letPodsIn(environment, servers, lossFailure),
    waitForOldReaders: (manifests, servers, lossFailure) =>
      waitForOldReaders(environment, manifests, servers, lossFailure),
    shutOutOld: (manifests, lossFailure) => shutOutOld(environment, manifests, lossFailure),
    watchPods: () => watchPods(environment),
  },
  watch: waitForRollout,
  smokeTarget: manifests => createKubernetesTarget(environment, manifests),
})
