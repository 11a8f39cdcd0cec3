// Which versions of an image can go from its registry. Pure.
import { Failure, exit } from '../errors.ts'

/** A version of an image: one digest. */
export interface ImageVersion {
  /** Without tag. */
  image: string
  digest: string
  tags: string[]
  /** ISO; '' when it is not known. */
  created: string
  size: number
  /** The manifests that it consists of: versions of their own on some registries. */
  children: string[]
  /** GitHub's number for it. */
  id?: number
  /** Its registry lists it but does not have it: what it consists of is not known. */
  lost?: true
}

/** A version as a registry lists it. */
export type ListedVersion = Omit<ImageVersion, 'size' | 'children'>

interface RetentionPolicy {
  /** How many of the newest. */
  newest: number
  /** Digests that releases name. */
  named: Set<string>
  /** Whether versions go that have no tag but their commit's. */
  commits: boolean
}

/** Newest first; what says no time is last. */
export const sortNewestFirst = (all: ImageVersion[]): ImageVersion[] =>
  all.toSorted((a, b) => b.created.localeCompare(a.created))

/**
 * The digest of the image that an attestation is about: where the registry has no referrers API, it
 * is found by its tag alone.
 */
function attestedDigest({ tags }: ImageVersion): string | undefined {
  const about = tags.map(tag => /^sha256-([0-9a-f]{64})$/.exec(tag)?.[1])
  return about[0] && about.every(Boolean) ? `sha256:${about[0]}` : undefined
}

/** The versions that are neither part of another nor an attestation of one. */
function topLevelVersions(all: ImageVersion[]): ImageVersion[] {
  const parts = new Set(all.flatMap(({ children }) => children))
  return all.filter(version => !parts.has(version.digest) && !attestedDigest(version))
}

/**
 * The versions of one image that can go: neither among the newest, nor named by a release, nor
 * tagged; nor part or attestation of one that stays.
 * Throws Failure (refused) when it is not known what one consists of that has a tag or stays: its
 * parts would go.
 */
export function findRemovableVersions(
  all: ImageVersion[],
  { newest, named, commits }: RetentionPolicy,
): ImageVersion[] {
  const tagged = (version: ImageVersion) =>
    !attestedDigest(version) && version.tags.some(tag => !commits || !/^[0-9a-f]{40}$/.test(tag))
  const first = new Set(sortNewestFirst(topLevelVersions(all)).slice(0, newest))
  const stay = all.filter(
    version => first.has(version) || named.has(version.digest) || tagged(version),
  )
  requireCompleteVersions(all.filter(version => version.tags.length > 0 || stay.includes(version)))
  // a release may name one part of a version, and then needs no other; but a pull of the whole
  // does
  const holders = all.filter(({ children }) => children.some(child => named.has(child)))
  const kept = new Set(
    [...stay, ...holders].flatMap(({ digest, children }) => [digest, ...children]),
  )
  const attestations = all.filter(version => kept.has(attestedDigest(version) ?? ''))
  for (const { digest, children } of attestations)
    for (const one of [digest, ...children]) kept.add(one)
  return all.filter(({ digest }) => !kept.has(digest))
}

function requireCompleteVersions(all: ImageVersion[]): void {
  const lost = all
    .filter(version => version.lost)
    .map(({ image, digest, tags }) => `${image}@${digest} ${tags.join(', ')}`.trim())
  if (!lost.length) return
  throw new Failure(
    exit.refused,
    'Remove old images',
    'the registry lists versions that it does not have: it is not known which others belong to them',
    {
      evidence: lost.join('\n'),
      next: 'the same command again later; if this stays, push them again or remove them by hand',
    },
  )
}
