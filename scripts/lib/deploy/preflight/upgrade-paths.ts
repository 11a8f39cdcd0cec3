// Versions that must not be jumped over. The rules are the applications' own:
// infra/docker/<folder>/upgrade-paths.ts exports `upgradePaths`.
import { parseImage } from '../../images/registry/client.ts'

/** Major, minor, patch. */
export type VersionTriple = [number, number, number]

export interface UpgradeRule {
  /** The end of the image's name. */
  image: RegExp
  /** Where the version stands in the tag, when it is not at its beginning. */
  version?: RegExp
  /** Why this step must not be taken, with the way round; undefined when it may. */
  forbids: (from: VersionTriple, to: VersionTriple) => string | undefined
}

/** The version in a tag, `v4.18.0-ce` or `17`; undefined when it has none. */
function parseTagVersion(
  image: string,
  pattern = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?!\w)/,
): VersionTriple | undefined {
  const found = pattern.exec(parseImage(image).tag ?? '')
  return found ? [Number(found[1]), Number(found[2] ?? 0), Number(found[3] ?? 0)] : undefined
}

export const isVersionBefore = (a: VersionTriple, b: VersionTriple): boolean =>
  a.map((part, i) => part - b[i]!).find(Boolean)! < 0

/** What the rules say to a workload's step from some images to others. */
export function findBlockedUpgrades(rules: UpgradeRule[], from: string[], to: string[]): string[] {
  return rules.flatMap(({ image, version, forbids }) => {
    const [old, next] = [from, to].map(list => list.find(one => image.test(parseImage(one).name)))
    const [a, b] = [old, next].map(one => one && parseTagVersion(one, version))
    const words = a && b && forbids(a, b)
    return words ? [words] : []
  })
}
