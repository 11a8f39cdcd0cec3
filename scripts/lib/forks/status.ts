// What is known of a fork: its pin, upstream's newest release, its own commits, advisories.
import { Failure } from '../errors.ts'
import type { GitHubRepository } from '../github/client.ts'
import { findPins } from '../images/pins.ts'
import { readPinFiles } from '../images/pins-check.ts'
import { judgeAdvisories, type AdvisoryVerdict } from './advisories.ts'
import { compareVersions, fillVersion, versionOfTag, type Fork } from './definition.ts'
import { compareOnGitHub, findRepository, listAdvisories } from './github.ts'
import { addressOf, pinnedCommit, parseRepositoryAddress } from './submodules.ts'
import { fetchReleaseTags, findMovedTags, listSeenTags, type ReleaseTag } from './upstream-tags.ts'

export interface ForkStatus {
  fork: string
  commit: string
  /** The release that the commit is; undefined when it is none. */
  release: string | undefined
  /** The version of the image that Compose and Kubernetes run; several when they differ. */
  images: string[]
  newest: string | undefined
  /** How many releases are newer than the image's. */
  behind: number | undefined
  /** How many commits the organisation's fork has beyond the image's release. */
  ownCommits: number | undefined
  /** Whether the commit is, or contains, the release of the image. */
  agrees: boolean | undefined
  advisories: AdvisoryVerdict[]
  moved: string[]
  /** Where the source is offered, for a licence that asks for it. */
  offer: string | undefined
  /** What could not be asked, and why. */
  unknown: string[]
}

/** The versions of the image that the YAML pins. */
export function readImageVersions({ released }: Fork, files = readPinFiles()): string[] {
  const versions = findPins(files).flatMap(
    ({ image }) => versionOfTag({ tag: released }, image) ?? [],
  )
  return [...new Set(versions)].sort(compareVersions)
}

/** Asks upstream and GitHub; what does not answer is unknown. */
export async function readForkStatus(github: GitHubRepository, fork: Fork): Promise<ForkStatus> {
  const unknown: string[] = []
  const ask = async <T>(question: Promise<T>): Promise<T | undefined> => {
    try {
      return await question
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      unknown.push(error.message)
      return undefined
    }
  }
  const upstream = parseRepositoryAddress(fork.upstream)
  const [commit, address, tags, advisories] = await Promise.all([
    pinnedCommit(fork),
    addressOf(fork),
    ask(fetchReleaseTags(fork)),
    ask(listAdvisories(github, upstream)),
  ])
  const images = readImageVersions(fork)
  const [image] = images
  // upstream may be away: what was seen of it still says which commit a release is
  const known = tags ?? listSeenTags(fork)
  const base = known.find(tag => tag.version === image)
  const compared = await compareWithRelease(
    github,
    commit,
    base,
    parseRepositoryAddress(address),
    ask,
  )
  const release = known.find(tag => tag.commit === commit)
  // what upstream has beyond the release is not ours
  const own = address === fork.upstream ? 0 : compared?.ahead
  return {
    fork: fork.name,
    commit,
    release: release?.name,
    images,
    newest: tags?.at(-1)?.name,
    behind: image ? tags?.filter(tag => compareVersions(tag.version, image) > 0).length : undefined,
    ownCommits: own,
    agrees: images.length === 1 ? compared && compared.behind === 0 : false,
    advisories: advisories ? judgeAdvisories(advisories, advisedVersion(image, compared)) : [],
    moved: tags ? findMovedTags(fork, tags) : [],
    offer: own ? await describeOffer(github, fork, address, commit, ask) : undefined,
    unknown,
  }
}

interface Comparison {
  ahead: number
  behind: number
}

/** A source that lacks commits of its release has no version that an advisory could be compared with. */
const advisedVersion = (image: string | undefined, compared: Comparison | undefined) =>
  compared && compared.behind > 0 ? undefined : image

type Ask = <T>(question: Promise<T>) => Promise<T | undefined>

async function compareWithRelease(
  github: GitHubRepository,
  commit: string,
  base: ReleaseTag | undefined,
  at: ReturnType<typeof parseRepositoryAddress>,
  ask: Ask,
): Promise<Comparison | undefined> {
  if (base?.commit === commit) return { ahead: 0, behind: 0 }
  const found = base && (await ask(compareOnGitHub(github, at, base.commit, commit)))
  return found && { ahead: found.ahead_by, behind: found.behind_by }
}

/** The AGPL asks that users of a changed program are offered its source. */
async function describeOffer(
  github: GitHubRepository,
  { license, upstream }: Fork,
  address: string,
  commit: string,
  ask: Ask,
): Promise<string | undefined> {
  if (!license.startsWith('AGPL') || address === upstream) return undefined
  const found = await ask(findRepository(github, parseRepositoryAddress(address)))
  const place = `${address.replace(/\.git$/, '')}/tree/${commit}`
  if (found && !found.private) return place
  return `nowhere: ${place} is not public, and ${license} asks to offer it to everyone who uses it`
}

/** What is wrong with a fork, a line each; to be behind is not wrong. Pure. */
export function listForkProblems(status: ForkStatus, fork: Fork): string[] {
  const image = status.images.join(' and ')
  const wanted = fillVersion(fork.tag, status.images[0] ?? '')
  return [
    ...status.moved.map(tag => `${status.fork}: the tag has moved: ${tag}`),
    ...(status.agrees === false
      ? [
          status.images.length === 1
            ? `${status.fork}: the image is ${image}, the source lacks commits of ${wanted}`
            : `${status.fork}: ${image ? `images of ${image}` : 'no image'} in infra/`,
        ]
      : []),
    ...status.advisories.map(
      ({ id, severity, summary, affected, patched, url }) =>
        `${status.fork}: ${id} (${severity}) ${affected === 'yes' ? 'is about this version' : 'may be about it'}: ${summary}; fixed by ${patched || 'no release yet'}; ${url}`,
    ),
    ...(status.offer?.startsWith('nowhere')
      ? [`${status.fork}: source offered ${status.offer}`]
      : []),
    ...status.unknown.map(why => `${status.fork}: not known: ${why}`),
  ]
}
