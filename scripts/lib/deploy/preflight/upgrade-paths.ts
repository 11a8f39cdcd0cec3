// Versions that an upgrade must not skip. Each application has its own rules:
// infra/docker/<folder>/upgrade-paths.ts exports `upgradePaths`.
import { parseImage } from '../../images/reference.ts'
import { resourceId, selectWorkloads, type Manifest } from '../../kubernetes/objects.ts'
import { loadAppModules } from '../../smoke/app-modules.ts'
import { isSameMinor, isVersionBefore, parseVersion, type Version } from '../../version.ts'
import { listWorkloadImages } from '../apply/checksums.ts'
import type { PreflightProblems } from './problems.ts'

export interface UpgradeRule {
  /** The end of the image's name. */
  image: RegExp
  /** Where the version stands in the tag, when it is not at its beginning. */
  version?: RegExp
  /** Why this step must not be taken, with the way round; undefined when it may. */
  forbids: (from: Version, to: Version) => string | undefined
}

/** The rule of an application whose migrations cannot be undone. `why` names it and the way round. */
export const forbidDowngrade = (image: RegExp, why: string): UpgradeRule => ({
  image,
  forbids: (from, to) => (isVersionBefore(to, from) && !isSameMinor(from, to) ? why : undefined),
})

/** The rule of PostgreSQL; `version` says where its version stands in the tag. */
export const forbidPostgresMajor = (image: RegExp, version?: RegExp): UpgradeRule => ({
  image,
  ...(version ? { version } : {}),
  forbids: ([from], [to]) =>
    from !== to
      ? `PostgreSQL ${to} does not read the data of ${from}: back up, deploy with a new volume, restore`
      : undefined,
})

/** A version at the beginning of a tag; a commit has none. */
const tagVersion = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?!\w)/

/** What the rules say to a workload's step from some images to others. */
export function findBlockedUpgrades(rules: UpgradeRule[], from: string[], to: string[]): string[] {
  return rules.flatMap(({ image, version, forbids }) => {
    const [old, next] = [from, to].map(list => list.find(one => image.test(parseImage(one).name)))
    const [a, b] = [old, next].map(one =>
      one ? parseVersion(parseImage(one).tag ?? '', version ?? tagVersion) : undefined,
    )
    const words = a && b && forbids(a, b)
    return words ? [words] : []
  })
}

/** Adds the steps that an application forbids, judged by what runs. */
export async function checkUpgradePaths(
  all: Manifest[],
  live: Manifest[],
  refusals: PreflightProblems,
): Promise<void> {
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
