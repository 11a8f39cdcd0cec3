// Checks everything that can be checked before anything is touched, and reports all problems at
// once.
import { findUnpromotedImages } from './preflight/promotion.ts'
import { resourceId, type Manifest } from '../kubernetes/objects.ts'
import { findHalfRestored, findHeldBack } from './preflight/held-back.ts'
import { findFixedReplicas, findStoppedTargets } from './preflight/autoscalers.ts'
import { findSettingProblems } from './preflight/settings-files.ts'
import {
  createPreflightFailure,
  readClusterState,
  readOtherKinds,
} from './preflight/cluster-state.ts'
import { readBuildVariables } from '../images/build/targets.ts'
import {
  findManifestErrors,
  findMissingSecretKeys,
  findChangedDatabases,
} from './preflight/manifest-errors.ts'
import { checkUpgradePaths } from './preflight/upgrade-paths.ts'
import { resourceVersionOf } from './lock/lease.ts'
import { sortForApply, type ManifestChanges } from './apply/order.ts'
import { refuseDowngrade, type RequestedVersion } from './preflight/downgrade.ts'
import type { DeployRequest } from './change.ts'
import type { Environment } from '../kubernetes/environment.ts'
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
  | { tag?: string | undefined; again?: string | undefined }
  | { release: string | undefined }

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
  const state = await readClusterState(environment, !('release' in source), refusals)
  const history = readReleases(state.objects)
  const last = findCurrentRelease(history)
  const back = 'release' in source ? chooseRelease(history) : undefined
  const own = listCommitImages()
  const tag = 'tag' in source ? source.tag : undefined
  const plain = back
    ? keepVolumeSizes(back.manifests, state.objects)
    : applyImageTags(environment, state.built, own, tag, last, refusals)
  const released = history.flatMap(({ manifests }) => manifests)
  const { resources, live } = await readOtherKinds(
    environment,
    state.objects,
    [...plain, ...released],
    refusals,
  )
  const version = () => createRequestedVersion(environment, own, tag, state.commit)
  const questions =
    'release' in source ? [] : await refuseDowngrade(version(), history, refusals, source.again)
  const secrets = readSecretKeys(live.filter(({ kind }) => kind === 'Secret'))
  redactSecretsOf([...plain, ...(last?.manifests ?? [])])
  refusals.add(
    ...findManifestErrors(plain),
    ...findMissingSecretKeys(plain, secrets),
    ...findChangedDatabases(plain, live),
    ...findStoppedTargets(plain, live),
    ...findHeldBack(environment, live),
    ...findHalfRestored(live),
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
  refusals.add(...findUnpromotedImages(environment, state.promoted, found.digests))
  // what the record of the release would refuse after the lock is taken
  await refusals.check(async () => packManifests(found.manifests))
  if (refusals.messages.length) throw await createPreflightFailure(environment, refusals)
  return {
    ...found,
    history,
    live,
    commit: state.commit,
    leaseVersion: resourceVersionOf(state.lock?.lease),
    questions,
  }
}

/** What of the settings and the numbers of pods is not what it looks like. */
function sayRemarks(environment: Environment, all: Manifest[], refusals: PreflightProblems): void {
  for (const { text, fatal } of findSettingProblems(environment.folder))
    if (fatal) refusals.add(text)
    else warn(text)
  findFixedReplicas(all).forEach(warn)
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
