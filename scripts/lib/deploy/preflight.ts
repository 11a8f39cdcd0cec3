// Checks everything that can be checked before anything is touched, and reports all problems at
// once.
import { requirePromoted, findUnpromotedImages } from './preflight/promotion.ts'
import { renderManifests } from '../kubernetes/kustomize.ts'
import { resourceId, type Manifest } from '../kubernetes/objects.ts'
import { isApiSuccess, requestApi } from '../kubernetes/api.ts'
import { requireSupportedCluster } from '../kubernetes/versions.ts'
import {
  discoverResources,
  kindKeyOf,
  listObjects,
  type KnownResources,
} from '../kubernetes/resources.ts'
import { findFixedReplicas, findStoppedTargets } from './preflight/autoscalers.ts'
import { findSettingProblems } from './preflight/settings-files.ts'
import { readDeployCommit } from './preflight/commit.ts'
import { readBuildVariables } from '../images/build/bake.ts'
import {
  findManifestErrors,
  findMissingSecretKeys,
  findChangedDatabases,
} from './preflight/manifest-errors.ts'
import { checkUpgradePaths } from './preflight/upgrade-paths.ts'
import { fetchLease, isLockHeld, resourceVersionOf } from './lock/lease.ts'
import { sortForApply, type ManifestChanges } from './apply/order.ts'
import { refuseDowngrade, type RequestedVersion } from './preflight/downgrade.ts'
import type { DeployRequest } from './change.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { waitForStaleLock } from './lock/stale-lock.ts'
import { PreflightProblems } from './preflight/problems.ts'
import { warn } from '../report.ts'
import {
  readReleases,
  findCurrentRelease,
  packManifests,
  type StoredRelease,
} from '../kubernetes/releases.ts'
import { checkNodePulls } from './preflight/pull-login.ts'
import { requirePermissions } from './preflight/permissions.ts'
import { redactSecretsOf, readSecretKeys } from '../kubernetes/secret-values.ts'
import { withDigestsAndChecksums } from './apply/checksums.ts'
import { runServerDryRun } from './preflight/server-dry-run.ts'
import { resolveImageDigests, applyImageTags } from './preflight/images.ts'
import { listCommitImages, type CommitImage } from '../images/commit-images.ts'

/** What the pre-flight has found out. */
export interface PreflightResult {
  /** Stamped, in the order in which they are applied. */
  manifests: Manifest[]
  digests: Map<string, string>
  history: StoredRelease[]
  /** What stands in the environment, of all kinds that a change may touch or look at. */
  live: Manifest[]
  /** What applying would create and change, Jobs aside. */
  changes: ManifestChanges
  commit: string | undefined
  /** Which writing of the lock's lease was there. */
  leaseVersion: string
  /** What is asked before it begins: whether it is older cannot be told. */
  questions: string[]
}

/**
 * The manifests to put in place: the overlay's own, or those of a release that is restored (Jobs
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
  chooseRelease,
}: Pick<DeployRequest, 'environment' | 'source' | 'chooseRelease'>): Promise<PreflightResult> {
  const refusals = new PreflightProblems()
  const more = new PreflightProblems()
  const what = `Deploy to ${environment.name}`
  const known = refusals.check(() => readDeployCommit())
  // asked at once, and of no interest when the cluster is out of reach
  const lock = more.check(() => fetchLease(environment))
  const asked = Promise.all([
    // not before the lease is known: who holds it writes releases
    lock.then(() => more.check(() => listObjects(environment, liveResources))),
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
  const refuse = async () => {
    if (await isTerminating(environment))
      refusals.addFirst(`namespace ${environment.namespace} is being deleted`)
    return refusals.toFailure(what)
  }
  const [watched, had] = await asked
  refusals.add(...more.messages)
  const seen = await lock
  if (seen?.lease && isLockHeld(seen)) await waitForStaleLock(environment, seen.lease, seen.now)
  if (!watched) throw await refuse()
  const history = readReleases(watched)
  const last = findCurrentRelease(history)
  const back = 'release' in source ? chooseRelease(history) : undefined
  const own = listCommitImages()
  const tag = 'tag' in source ? source.tag : undefined
  const plain = back
    ? keepVolumeSizes(back.manifests, watched)
    : applyImageTags(environment, built, own, tag, last, refusals)
  const released = history.flatMap(({ manifests }) => manifests)
  const { resources, live } = await readOtherKinds(
    environment,
    watched,
    [...plain, ...released],
    refusals,
  )
  const questions =
    'release' in source
      ? []
      : await refuseDowngrade(
          createRequestedVersion(environment, own, tag, commit),
          history,
          refusals,
          source.again,
        )
  const secrets = readSecretKeys(live.filter(({ kind }) => kind === 'Secret'))
  redactSecretsOf([...plain, ...(last?.manifests ?? [])])
  refusals.add(
    ...findManifestErrors(plain),
    ...findMissingSecretKeys(plain, secrets),
    ...findChangedDatabases(plain, live),
    ...findStoppedTargets(plain, live),
  )
  if (!back) sayRemarks(environment, plain, refusals)
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
    const isUntagged = refusals.messages.some(one => /^no release records/.test(one))
    const changes = isUntagged
      ? { created: [], changed: [] }
      : await runServerDryRun(environment, wanted, live, resources, refusals)
    return { digests, manifests, changes }
  }
  const [found] = await Promise.all([
    tried(),
    refusals.check(() => requirePermissions(environment, plain)),
    back ? undefined : checkNodePulls(environment, plain, live, refusals, warn),
    back ? undefined : checkUpgradePaths(plain, live, refusals),
  ])
  refusals.add(...findUnpromotedImages(environment, had, found.digests))
  // what the record of the release would refuse after the lock is taken
  await refusals.check(async () => packManifests(found.manifests))
  if (refusals.messages.length) throw await refuse()
  return {
    ...found,
    history,
    live,
    commit: commit ?? undefined,
    leaseVersion: resourceVersionOf(seen?.lease),
    questions,
  }
}

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

/** Adds to what was read what there is of all other kinds of these manifests. */
async function readOtherKinds(
  environment: Environment,
  read: Manifest[],
  all: Manifest[],
  refusals: PreflightProblems,
): Promise<{ resources: KnownResources; live: Manifest[] }> {
  const resources = await discoverResources(environment, all)
  const kinds = new Set(all.map(one => resources.get(kindKeyOf(one)) ?? ''))
  const others = [...kinds].filter(resource => resource && !liveResources.includes(resource))
  const lists = await Promise.all(
    others.map(one => refusals.check(() => listObjects(environment, [one]))),
  )
  return { resources, live: [...read, ...lists.flatMap(list => list ?? [])] }
}

/** What of the settings and the numbers of pods is not what it looks like. */
function sayRemarks(environment: Environment, all: Manifest[], refusals: PreflightProblems): void {
  for (const { text, fatal } of findSettingProblems(environment.folder))
    if (fatal) refusals.add(text)
    else warn(text)
  findFixedReplicas(all).forEach(warn)
}

/** Whether the namespace is on its way out: its rights go before it does. */
async function isTerminating(environment: Environment): Promise<boolean> {
  const answer = await requestApi(environment, `/api/v1/namespaces/${environment.namespace}`)
  return (
    isApiSuccess(answer) && (JSON.parse(answer.text) as Manifest).status?.phase === 'Terminating'
  )
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
