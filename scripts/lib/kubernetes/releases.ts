// Releases: a ConfigMap for each deploy with its manifests (no Secrets), from which it can be
// restored exactly.
import { gunzipSync, gzipSync } from 'node:zlib'
import { describeApiError, isApiSuccess } from './api.ts'
import { deleteObject, findObject, listObjects, resourcePath } from './resources.ts'
import { resourceId, type Manifest } from './objects.ts'
import { kubectlArgv } from './kubectl.ts'
import type { Environment } from './environment.ts'
import { createRetryingApi, type LockLossCheck } from './kubectl-retry.ts'
import { Failure, exit } from '../errors.ts'

/** How many are kept; more only where what serves would be lost. */
const keptReleases = 10
const releaseLabel = 'kgc.hu/release'

/** How a release ended; `applying` is one that is at work, or was killed at it. */
export type ReleaseEnding = 'applying' | 'succeeded' | 'rolled back' | 'broken' | 'interrupted'

/** A proven backup from before a release's migrations. */
export interface ReleaseBackup {
  name: string
  /** When its first snapshot was taken. */
  created: string
  applications: string[]
  /** By application, how far its database was migrated in it. */
  heads: Record<string, string>
  /** The folder that it is in, and whose machine that is. */
  folder?: { path: string; machine: string }
  /** The copy: `s3://bucket/prefix`. */
  copy?: string
}

export interface Release {
  number: number
  ending: ReleaseEnding
  /** `deploy`, or `rollback to 7`. */
  what: string
  who: string
  run?: string | undefined
  commit?: string | undefined
  /** Why it was put in place though it is older, or may be. */
  again?: string | undefined
  started: string
  ended?: string
  /** By image, its digest. */
  images: Record<string, string>
  /**
   * By application, the last migration of its database when the release ended; `?` when that could
   * not be asked.
   */
  heads?: Record<string, string>
  /** What it created; a name that is not among them was there before. */
  created?: string[]
  /** The checks that it was asked. */
  checks?: string[]
  /** Those that failed though it succeeded: nothing was there before, or they failed before. */
  failing?: string[]
  /** Why it failed. */
  cause?: string
  /** What was saved before it migrated data; the reason where that is turned off. */
  backup?: ReleaseBackup | { off: string }
}

/** A release as it is stored. */
export interface StoredRelease extends Release {
  manifests: Manifest[]
}

/** Bytes, decoded: the API server takes a ConfigMap of 1 MiB, of which the release's own words need some. */
const maximumSize = 1024 * 1024 - 32 * 1024

/**
 * A release's manifests, packed; Secrets are left out, sealed ones stay. Throws Failure (refused)
 * when a ConfigMap cannot hold them.
 */
export function packManifests(manifests: Manifest[]): string {
  const packed = gzipSync(JSON.stringify(manifests.filter(({ kind }) => kind !== 'Secret')), {
    level: 9,
  })
  if (packed.length > maximumSize)
    throw new Failure(
      exit.refused,
      'Record the release',
      `its manifests take ${packed.length} bytes packed, and the limit is ${maximumSize}`,
      { next: 'keep large files out of ConfigMaps: an image or a volume holds them' },
    )
  return packed.toString('base64')
}

export const unpackManifests = (packed: string): Manifest[] =>
  JSON.parse(gunzipSync(Buffer.from(packed, 'base64')).toString()) as Manifest[]

/** The ConfigMap that holds a release. */
export function createReleaseConfigMap({ manifests, ...release }: StoredRelease): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `kgc-release-${release.number}`,
      labels: { [releaseLabel]: String(release.number) },
    },
    data: { release: JSON.stringify(release) },
    binaryData: { manifests: packManifests(manifests) },
  }
}

/** The release that serves: the last that succeeded. */
export const findCurrentRelease = <T extends Release>(releases: T[]): T | undefined =>
  releases.find(({ ending }) => ending === 'succeeded')

const comparableManifests = ({ manifests }: StoredRelease) =>
  JSON.stringify(manifests.filter(({ kind }) => kind !== 'Secret'))
/** Whether two releases are the same to the letter, but for Secrets that are not sealed. */
export const hasSameManifests = (a: StoredRelease, b: StoredRelease): boolean =>
  comparableManifests(a) === comparableManifests(b)

/**
 * What a release may have left in the cluster: all of one that has served, of another what it
 * created.
 */
export const listReleaseObjects = ({ ending, created, manifests }: StoredRelease): Manifest[] =>
  ending === 'succeeded' || !created
    ? manifests
    : manifests.filter(one => created.includes(resourceId(one)))

/**
 * Which to remove of releases given newest first: all but the ten newest, what serves, and what
 * served before.
 */
export function findExpiredReleases<T extends Release>(releases: T[]): T[] {
  const good = releases.filter(({ ending }) => ending === 'succeeded').slice(0, 2)
  return releases.filter((release, index) => index >= keptReleases && !good.includes(release))
}

/** All releases of an environment, the newest first. */
export const fetchReleases = async (environment: Environment): Promise<StoredRelease[]> =>
  readReleases(await listObjects(environment, ['v1/configmaps']))

/** The releases among the objects of an environment, the newest first. */
export const readReleases = (all: Manifest[]): StoredRelease[] =>
  all
    .filter(({ kind, metadata }) => kind === 'ConfigMap' && metadata.labels?.[releaseLabel])
    .map(({ data, binaryData }) => ({
      ...(JSON.parse(data.release) as Release),
      manifests: unpackManifests(binaryData.manifests),
    }))
    .sort((a, b) => b.number - a.number)

/** The release of that number. Throws Failure (usage) when there is none. */
export function findRelease(all: StoredRelease[], number: string): StoredRelease {
  const found = all.find(release => String(release.number) === number.replace(/^kgc-release-/, ''))
  if (found) return found
  throw new Failure(exit.usage, `Find release ${number}`, 'there is none', {
    next: `one of: ${all.map(({ number }) => number).join(', ') || 'none yet'}`,
  })
}

/** Stores a new release, or how one went on. */
export async function storeRelease(
  environment: Environment,
  release: StoredRelease,
  verb: 'create' | 'replace',
  lossFailure?: LockLossCheck,
): Promise<void> {
  const map = createReleaseConfigMap(release)
  const { name } = map.metadata
  const [ask, isNew] = [createRetryingApi(lossFailure), verb === 'create']
  const answer = await ask(
    environment,
    resourcePath(environment, 'v1/configmaps', isNew ? undefined : name),
    {
      method: isNew ? 'POST' : 'PUT',
      body: map,
    },
  )
  // an answer that was lost on its way: what is there is this one
  const isMine = async () => {
    const there = await findObject(environment, 'v1/configmaps', name, { ask })
    return there?.data?.release === map.data.release
  }
  if (!isApiSuccess(answer) && !(isNew && answer.status === 409 && (await isMine())))
    throw new Failure(exit.refused, `Record release ${release.number}`, describeApiError(answer), {
      next: `${kubectlArgv(environment).join(' ')} get configmaps -l ${releaseLabel}`,
    })
}

/** Removes what `findExpiredReleases` finds. */
export async function pruneReleases(environment: Environment, all: Release[]): Promise<void> {
  for (const { number } of findExpiredReleases(all))
    await deleteObject(environment, 'v1/configmaps', `kgc-release-${number}`, {
      what: 'Remove old releases',
    })
}
