// The tags of releases, as upstream's git server names them; and whether one has moved.
import { Failure, exit } from '../errors.ts'
import { compareVersions, fillVersion, versionOfTag, type Fork } from './definition.ts'
import { runGit } from './git.ts'
import { root } from '../repository.ts'

export interface ReleaseTag {
  name: string
  version: string
  /** What is tagged: of an annotated tag not the tag's own object. */
  commit: string
}

/** The tags of releases in what `git ls-remote` says, the oldest first. Pure. */
export function parseReleaseTags(fork: Pick<Fork, 'tag'>, text: string): ReleaseTag[] {
  const commits = new Map<string, string>()
  // the second line of an annotated tag, with ^{}, has the commit
  for (const [, commit, name] of text.matchAll(/^([0-9a-f]{40})\trefs\/tags\/(.+?)(?:\^\{\})?$/gm))
    commits.set(name ?? '', commit ?? '')
  return [...commits]
    .flatMap(([name, commit]) => {
      const version = versionOfTag(fork, name)
      return version ? [{ name, version, commit }] : []
    })
    .sort((a, b) => compareVersions(a.version, b.version))
}

/** Asks upstream's server. Throws Failure (refused) when it does not answer. */
export async function fetchReleaseTags(fork: Fork): Promise<ReleaseTag[]> {
  const what = `Ask ${fork.upstream} for its tags`
  return parseReleaseTags(fork, await runGit(root, ['ls-remote', '--tags', fork.upstream], what))
}

/** The tags of releases that were seen before. Pure. */
export const listSeenTags = (fork: Pick<Fork, 'seen' | 'tag'>): ReleaseTag[] =>
  Object.entries(fork.seen).flatMap(([name, commit]) => {
    const version = versionOfTag(fork, name)
    return version ? [{ name, version, commit }] : []
  })

/** The tags that are not where they were seen before. Pure. */
export function findMovedTags(fork: Pick<Fork, 'seen'>, tags: ReleaseTag[]): string[] {
  return Object.entries(fork.seen).flatMap(([name, commit]) => {
    const now = tags.find(tag => tag.name === name)?.commit
    if (now === commit) return []
    return [`${name} was ${commit}, ${now ? `is ${now}` : 'is gone'}`]
  })
}

/**
 * The release that a person means by a tag, a version or nothing (the newest). Throws Failure: usage
 * for none, refused for one that has moved.
 */
export function chooseRelease(fork: Fork, tags: ReleaseTag[], wanted?: string): ReleaseTag {
  const what = `Choose the release of ${fork.name}`
  const name = wanted && versionOfTag(fork, wanted) ? wanted : fillVersion(fork.tag, wanted ?? '')
  const found = wanted ? tags.find(tag => tag.name === name) : tags.at(-1)
  if (!found) {
    const newest = tags.slice(-3).map(tag => tag.name)
    const why = wanted ? `upstream has no release ${wanted}` : 'upstream has no release'
    throw new Failure(exit.usage, what, why, { next: `the newest are: ${newest.join(', ')}` })
  }
  const [moved] = findMovedTags({ seen: pick(fork.seen, found.name) }, tags)
  if (!moved) return found
  throw new Failure(exit.refused, what, `the tag has moved: ${moved}`, {
    evidence: 'A release’s tag does not move: upstream has made it again, or somebody else has.',
    next: `ask upstream; if it is right, remove the old line of \`seen\` in ${fork.file}`,
  })
}

const pick = (seen: Fork['seen'], name: string): Fork['seen'] =>
  seen[name] ? { [name]: seen[name] } : {}
