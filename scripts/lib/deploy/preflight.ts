// Everything that can be known before anything is touched; what is wrong is said all at once.
import { requirePromoted, findUnpromotedImages } from './preflight/promotion.ts'
import { loadAppModules } from '../smoke/checks.ts'
import {
  kubectl,
  lastOutputLine,
  listObjects,
  renderManifests,
  selectWorkloads,
  type Manifest,
} from '../kubernetes/kubectl.ts'
import { readDeployCommit } from './preflight/commit.ts'
import { Failure, exit } from '../errors.ts'
import { readBuildVariables } from '../images/build/bake.ts'
import {
  findManifestErrors,
  findMissingSecretKeys,
  findChangedDatabases,
} from './preflight/manifest-errors.ts'
import { findBlockedUpgrades, type UpgradeRule } from './preflight/upgrade-paths.ts'
import { fetchLease, isLockHeld, resourceVersionOf } from './lock/lease.ts'
import { sortForApply } from './apply/order.ts'
import { resourceId } from '../kubernetes/objects.ts'
import { refuseDowngrade, type RequestedVersion } from './preflight/downgrade.ts'
import type { DeployRequest } from './change.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { waitForStaleLock } from './lock/stale-lock.ts'
import { PreflightProblems } from './preflight/problems.ts'
import { warn } from '../report.ts'
import { fetchReleases, findCurrentRelease, type StoredRelease } from '../kubernetes/releases.ts'
import { requirePermissions } from './preflight/permissions.ts'
import { redactSecretsOf, fetchSecretKeys } from '../kubernetes/secret-values.ts'
import { listWorkloadImages, withDigestsAndChecksums } from './apply/checksums.ts'
import { runServerDryRun } from './preflight/server-dry-run.ts'
import { resolveImageDigests, applyImageTags } from './preflight/images.ts'
import { listCommitImages, type CommitImage } from '../images/commit-images.ts'

/** What the pre-flight has found out. */
export interface PreflightResult {
  /** Stamped, in the order in which they are applied. */
  manifests: Manifest[]
  digests: Map<string, string>
  history: StoredRelease[]
  /** What stands in the environment: workloads, pods, what may start some, and volumes. */
  live: Manifest[]
  /** What `kubectl diff` says of all but the Jobs. */
  diff: string
  commit: string | undefined
  /** Which writing of the lock's lease was there. */
  leaseVersion: string
  /** What is asked before it begins: whether it is older cannot be told. */
  questions: string[]
}

/**
 * The manifests to put in place: the overlay's own, or those of a release that is put back (Jobs
 * are not run again).
 */
export type ReleaseSource =
  { tag?: string | undefined; again?: string | undefined } | { release: string | undefined }

/**
 * Finds out all that a change needs to know. Throws Failure (refused) with everything that stands
 * in its way.
 */
export async function runPreflight({
  environment,
  source,
  choose,
}: Pick<DeployRequest, 'environment' | 'source' | 'choose'>): Promise<PreflightResult> {
  const refusals = new PreflightProblems()
  const more = new PreflightProblems()
  const what = `Deploy to ${environment.name}`
  const known = refusals.check(() => readDeployCommit())
  // asked at once, and of no interest when the cluster is out of reach
  const lease = more.check(() => fetchLease(environment))
  const asked = Promise.all([
    // not before the lease is known: who holds it writes releases
    lease.then(() => more.check(() => fetchReleases(environment))),
    more.check(() => fetchSecretKeys(environment)),
    lease.then(one => more.check(() => isLockHeld(environment, one))),
    more.check(() => listObjects(environment, liveKinds)),
    'release' in source
      ? undefined
      : known.then(commit => more.check(() => requirePromoted(environment, commit))),
  ])
  asked.catch(() => {})
  const [reachable, built, commit] = await Promise.all([
    refusals.check(() => requireSupportedCluster(environment)),
    'release' in source ? [] : refusals.check(() => renderManifests(environment)),
    known,
  ])
  if (!reachable || !built) throw refusals.toFailure(what)
  const [history, secrets, held, live, had] = await asked
  refusals.add(...more.messages)
  const seen = await lease
  if (held && seen) await waitForStaleLock(environment, seen)
  if (!history || !secrets || !live) throw refusals.toFailure(what)
  const last = findCurrentRelease(history)
  const back = 'release' in source ? choose(history) : undefined
  const own = listCommitImages()
  const tag = 'tag' in source ? source.tag : undefined
  const plain = back
    ? keepVolumeSizes(back.manifests, live)
    : applyImageTags(environment, built, own, tag, last, refusals)
  const questions =
    'release' in source
      ? []
      : await refuseDowngrade(
          createRequestedVersion(environment, own, tag, commit),
          history,
          refusals,
          source.again,
        )
  redactSecretsOf([...plain, ...(last?.manifests ?? [])])
  refusals.add(
    ...findManifestErrors(plain),
    ...findMissingSecretKeys(plain, secrets),
    ...findChangedDatabases(plain, live),
  )
  const tried = async () => {
    // who leaves a release needs its images no more
    const digests = await resolveImageDigests(
      plain,
      last,
      refusals,
      back ? warn : words => refusals.add(words),
    )
    const manifests = sortForApply(back ? plain : withDigestsAndChecksums(plain, digests))
    const wanted = back ? manifests.filter(({ kind }) => kind !== 'Job') : manifests
    return {
      digests,
      manifests,
      diff: refusals.messages.some(one => /^no release records/.test(one))
        ? ''
        : await runServerDryRun(environment, wanted, refusals),
    }
  }
  const [found] = await Promise.all([
    tried(),
    refusals.check(() => requirePermissions(environment, plain)),
    checkUpgradePaths(plain, live, Boolean(back), refusals),
  ])
  refusals.add(...findUnpromotedImages(environment, had, found.digests))
  refusals.throwIfAny(what)
  return {
    ...found,
    history,
    live,
    commit: commit ?? undefined,
    leaseVersion: resourceVersionOf(seen),
    questions,
  }
}

/** What is to be held against the releases that have served. */
const createRequestedVersion = (
  { images }: Environment,
  own: CommitImage[],
  tag: string | undefined,
  commit: string | undefined,
): RequestedVersion => {
  const variable = own.find(({ source }) => source)?.source
  return {
    commit,
    tag,
    names: own.map(({ name }) => `${images}/${name}`),
    source: variable && readBuildVariables()[variable],
  }
}

/** What stands in the environment, what may start a pod there, and its volumes. */
const liveKinds =
  'deployments,statefulsets,replicasets,controllerrevisions,pods,jobs,persistentvolumeclaims'

/** Volumes that are there keep their size: it may have grown since, and cannot shrink. */
function keepVolumeSizes(all: Manifest[], live: Manifest[]): Manifest[] {
  const here = (one: Manifest) =>
    live.find(
      other => other.kind === 'PersistentVolumeClaim' && resourceId(other) === resourceId(one),
    )
  return all.map(one => {
    const volume = here(one)
    return volume ? { ...one, spec: { ...one.spec, resources: volume.spec.resources } } : one
  })
}

/**
 * kubectl is there and of an age with the cluster, and the cluster answers in the environment's
 * context.
 */
async function requireSupportedCluster(environment: Environment): Promise<true> {
  const next = `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${environment.name}`
  const output = await kubectl(
    environment,
    ['version', '--output', 'json', '--request-timeout', '15s'],
    {
      nothrow: true,
    },
  )
  if (output.code !== 0)
    throw new Failure(
      exit.refused,
      `Ask the cluster of ${environment.name}`,
      lastOutputLine(output),
      {
        next,
      },
    )
  const { clientVersion, serverVersion } = JSON.parse(output.stdout) as {
    clientVersion: { minor: string }
    serverVersion: { minor: string }
  }
  const [client, server] = [parseInt(clientVersion.minor), parseInt(serverVersion.minor)]
  if (server < 30)
    throw new Failure(
      exit.refused,
      'Check the versions',
      `Kubernetes is 1.${server}, 1.30 is needed`,
      { next },
    )
  if (client < 30)
    throw new Failure(
      exit.refused,
      'Check the versions',
      `kubectl is 1.${client}, 1.30 is needed`,
      {
        next: 'https://kubernetes.io/docs/tasks/tools/#kubectl',
      },
    )
  return true
}

/** Jumps between versions that an application forbids, judged by what runs. */
async function checkUpgradePaths(
  all: Manifest[],
  live: Manifest[],
  back: boolean,
  refusals: PreflightProblems,
): Promise<void> {
  if (back) return
  const rules = (await loadAppModules<{ upgradePaths: UpgradeRule[] }>('upgrade-paths.ts')).flatMap(
    ({ upgradePaths }) => upgradePaths,
  )
  for (const one of selectWorkloads(all)) {
    const now = live.find(other => resourceId(other) === resourceId(one))
    if (now)
      refusals.add(
        ...findBlockedUpgrades(rules, listWorkloadImages([now]), listWorkloadImages([one])).map(
          words => `${resourceId(one)}: ${words}`,
        ),
      )
  }
}
