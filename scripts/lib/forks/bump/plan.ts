// Plans the bump of a fork and its image to another release.
import { findBlockedUpgrades, type UpgradeRule } from '../../deploy/preflight/upgrade-paths.ts'
import { Failure, exit } from '../../errors.ts'
import { emit, printResult, say } from '../../report.ts'
import { loadAppModules } from '../../smoke/app-modules.ts'
import { compareVersions, fillVersion, type Fork } from '../definition.ts'
import { lookUpReleasedImage, type ReleasedImage } from './rewrite.ts'
import { readImageVersions } from '../status.ts'
import { addressOf, pinnedCommit } from '../submodules.ts'
import { chooseRelease, fetchReleaseTags, type ReleaseTag } from '../upstream-tags.ts'

export interface BumpPlan {
  fork: Fork
  /** The version of the image. */
  from: string
  pinned: string
  address: string
  release: ReleaseTag
  released: ReleasedImage
  branch: string
  title: string
}

/**
 * What a bump to a release would do, to the newest where none is named; undefined when it is done
 * already. Throws Failure (refused, usage) where it may not be. Reads only.
 */
export async function planBump(
  fork: Fork,
  wanted: string | undefined,
): Promise<BumpPlan | undefined> {
  const [tags, pinned, address] = await Promise.all([
    fetchReleaseTags(fork),
    pinnedCommit(fork),
    addressOf(fork),
  ])
  const release = chooseRelease(fork, tags, wanted)
  const from = requireOneVersion(fork)
  const { version } = release
  const isMerged = address !== fork.upstream && fork.seen[release.name] !== undefined
  const isDone = version === from && (pinned === release.commit || isMerged)
  if (isDone) return undefined
  await requireAllowedStep(fork, from, version)
  return {
    fork,
    from,
    pinned,
    address,
    release,
    released: await lookUpReleasedImage(fork, version),
    branch: `forks/${fork.name}-${version}`,
    title: `${fork.path} and its image: ${release.name}`,
  }
}

function requireOneVersion(fork: Fork): string {
  const [version, ...others] = readImageVersions(fork)
  if (version && !others.length) return version
  const why = version
    ? `infra/ has it at ${[version, ...others].join(' and ')}`
    : 'infra/ does not have it'
  throw new Failure(exit.usage, `Look for ${fork.released}`, why, { next: 'pin one version of it' })
}

/** Throws Failure (refused) for a step back, and for one that the application does not survive. */
async function requireAllowedStep(fork: Fork, from: string, to: string): Promise<void> {
  const modules = await loadAppModules<{ upgradePaths: UpgradeRule[] }>('upgrade-paths.ts')
  const rules = modules.flatMap(({ upgradePaths }) => upgradePaths)
  const image = (version: string) => [fillVersion(fork.released, version)]
  const blocked = findBlockedUpgrades(rules, image(from), image(to))
  const isOlder = compareVersions(to, from) < 0
  const why = blocked[0] ?? (isOlder ? `${to} is older than ${from}` : '')
  if (!why) return
  throw new Failure(exit.refused, `Bump ${fork.name} from ${from} to ${to}`, why, {
    ...(isOlder ? { next: 'git revert <the commit of that bump>' } : {}),
  })
}

/** Says what would be done. */
export function reportPlan(plan: BumpPlan): void {
  const { fork, from, pinned, release, released, branch, title } = plan
  const { name, commit } = release
  emit('plan', { fork: fork.name, from, to: release.version, tag: name, commit, branch, title })
  say(`  ${fork.path}: ${pinned.slice(0, 12)} → ${name} (${commit.slice(0, 12)})`)
  say(`  ${fillVersion(fork.released, from)} → ${released.image}`)
  if (!released.digest) say(`  without a digest: ${released.why}; images.ts pins --write adds it`)
  printResult(`A commit on ${branch}, and a pull request: ${title}`)
}
