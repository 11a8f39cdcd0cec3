// What stands in an environment before a change, read once: who holds its lock, all its objects, and
// what another environment has served.
import type { Failure } from '../../errors.ts'
import { isApiSuccess, requestApi } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { renderManifests } from '../../kubernetes/kustomize.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import {
  discoverResources,
  kindKeyOf,
  listObjects,
  type KnownResources,
} from '../../kubernetes/resources.ts'
import { requireSupportedCluster } from '../../kubernetes/versions.ts'
import { fetchLease, isLockHeld, type LeaseReading } from '../lock/lease.ts'
import { waitForStaleLock } from '../lock/stale-lock.ts'
import { readDeployCommit } from './commit.ts'
import { PreflightProblems } from './problems.ts'
import { requirePromoted } from './promotion.ts'

/**
 * What stands in every environment, what may start a pod there, what its pods read, and the
 * releases.
 */
const liveResources = [
  'v1/configmaps',
  'v1/secrets',
  'v1/pods',
  'v1/persistentvolumeclaims',
  'apps/v1/deployments',
  'apps/v1/statefulsets',
  'apps/v1/replicasets',
  'apps/v1/controllerrevisions',
  'batch/v1/jobs',
]

/** What is there before anything is changed. */
export interface ClusterState {
  commit: string | undefined
  /** Of the overlay; none when a release is restored. */
  built: Manifest[]
  lock: LeaseReading | undefined
  objects: Manifest[]
  /** What the environment that is deployed to first has served of this commit. */
  promoted: Awaited<ReturnType<typeof requirePromoted>> | undefined
}

/**
 * Reads it, and waits for a lock that nobody renews. `own`: the overlay is wanted, no earlier
 * release. Throws Failure (refused) where it cannot be read; what else is wrong goes to
 * `problems`.
 */
export async function readClusterState(
  environment: Environment,
  own: boolean,
  problems: PreflightProblems,
): Promise<ClusterState> {
  const later = new PreflightProblems()
  const known = problems.check(() => readDeployCommit())
  // asked at once, and of no interest when the cluster is out of reach
  const lease = later.check(() => fetchLease(environment))
  const asked = Promise.all([
    // not before the lease is known: who holds it writes releases
    lease.then(() => later.check(() => listObjects(environment, liveResources))),
    own ? known.then(commit => later.check(() => requirePromoted(environment, commit))) : undefined,
  ])
  asked.catch(() => {})
  const [reachable, built, commit] = await Promise.all([
    problems.check(() => requireSupportedCluster(environment)),
    own ? problems.check(() => renderManifests(environment)) : [],
    known,
  ])
  if (!reachable || !built) throw problems.toFailure(`Deploy to ${environment.name}`)
  const [objects, promoted] = await asked
  problems.add(...later.messages)
  const lock = await lease
  if (lock?.lease && isLockHeld(lock)) await waitForStaleLock(environment, lock.lease, lock.now)
  if (!objects) throw await createPreflightFailure(environment, problems)
  return { commit, built, lock, objects, promoted }
}

/** Adds to what was read what there is of all other kinds of these manifests. */
export async function readOtherKinds(
  environment: Environment,
  read: Manifest[],
  all: Manifest[],
  problems: PreflightProblems,
): Promise<{ resources: KnownResources; live: Manifest[] }> {
  const resources = await discoverResources(environment, all)
  const kinds = new Set(all.map(one => resources.get(kindKeyOf(one)) ?? ''))
  const others = [...kinds].filter(resource => resource && !liveResources.includes(resource))
  const lists = await Promise.all(
    others.map(one => problems.check(() => listObjects(environment, [one]))),
  )
  return { resources, live: [...read, ...lists.flatMap(list => list ?? [])] }
}

/** All problems as one Failure (refused); a namespace on its way out explains the others. */
export async function createPreflightFailure(
  environment: Environment,
  problems: PreflightProblems,
): Promise<Failure> {
  const { namespace } = environment
  // its rights go before it does
  const answer = await requestApi(environment, `/api/v1/namespaces/${namespace}`)
  const found = isApiSuccess(answer) ? (JSON.parse(answer.text) as Manifest) : undefined
  if (found?.status?.phase === 'Terminating')
    problems.addFirst(`namespace ${namespace} is being deleted`)
  return problems.toFailure(`Deploy to ${environment.name}`)
}
