// Which versions of an image can go from its registry. Pure.

/** A version of an image: one digest. */
export interface Version {
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
}

interface Keep {
  /** How many of the newest. */
  newest: number
  /** Digests that releases name. */
  named: Set<string>
  /** Whether versions go that have no tag but their commit's. */
  commits: boolean
}

/** Newest first; what says no time is last. */
export const newestFirst = (all: Version[]): Version[] => all.toSorted((a, b) => b.created.localeCompare(a.created))

/** The versions that are not part of another. */
export function whole(all: Version[]): Version[] {
  const parts = new Set(all.flatMap(({ children }) => children))
  return all.filter(({ digest }) => !parts.has(digest))
}

/** The versions of one image that can go: neither among the newest, nor named by a release, nor tagged; nor part of one that stays. */
export function surplus(all: Version[], { newest, named, commits }: Keep): Version[] {
  const tagged = ({ tags }: Version) => tags.some(tag => !commits || !/^[0-9a-f]{40}$/.test(tag))
  const first = new Set(newestFirst(whole(all)).slice(0, newest))
  const stay = all.filter(version => first.has(version) || named.has(version.digest) || tagged(version))
  // a release may name one part of a version, and then needs no other; but whoever pulls the whole does
  const holders = all.filter(({ children }) => children.some(child => named.has(child)))
  const kept = new Set([...stay, ...holders].flatMap(({ digest, children }) => [digest, ...children]))
  return all.filter(({ digest }) => !kept.has(digest))
}
