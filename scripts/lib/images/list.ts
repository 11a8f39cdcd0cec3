// `images.ts list`: what the registry keeps of the images built here, and what of it can go.
import { listBuildTargets } from './build/targets.ts'
import { Failure, exit } from '../errors.ts'
import { findReleaseReferences, type ReleaseReferences } from './release-references.ts'
import { requireOwner } from './owner.ts'
import { shortenDigest } from './pins.ts'
import { asRegistryFailure } from './registry/refusals.ts'
import { parseImage, registryHostOf } from './reference.ts'
import { color, emit, formatMegabytes, printResult, say, step, table } from '../report.ts'
import { removeVersion, listsUntagged, listImageVersions } from './registry-versions.ts'
import { sortNewestFirst, findRemovableVersions, type ImageVersion } from './retention.ts'

export interface ListOptions {
  prune: boolean
  commits: boolean
  /** How many of the newest stay. */
  keep: number
  dry: boolean
}

/** Lists all versions; with `prune` removes those that nobody needs. */
export async function runListCommand({ prune, commits, keep, dry }: ListOptions): Promise<void> {
  const images = [
    ...new Set((await listBuildTargets()).map(({ image }) => parseImage(image).name.toLowerCase())),
  ]
  requireOwner('List the images', images)
  const what = `Ask ${[...new Set(images.map(registryHostOf))].join(', ')}`
  const versions = await step(what, async () =>
    (
      await Promise.all(
        images.map(image => asRegistryFailure(what, () => listImageVersions(image))),
      )
    ).flat(),
  )
  const named = await step('Read the releases', () => findReleaseReferences(images))
  for (const { environment, why } of named.unread)
    say(color.yellow(`  ${environment}: its releases cannot be read (${why})`))
  const keeping = { newest: keep, named: new Set(named.releasesByDigest.keys()), commits }
  const going = prune
    ? images.flatMap(image =>
        findRemovableVersions(
          versions.filter(one => one.image === image),
          keeping,
        ),
      )
    : []
  const releases = (one: ImageVersion) =>
    [one.digest, ...one.children].flatMap(digest => named.releasesByDigest.get(digest) ?? [])
  emit('result', {
    versions: versions.map(one => ({ ...one, releases: releases(one) })),
    removed: going.map(({ image, digest }) => ({ image, digest })),
  })
  const row = (one: ImageVersion) => [
    one.image,
    one.tags.join(', ') || '(none)',
    shortenDigest(one.digest),
    formatMegabytes(one.size),
    formatAge(one.created),
    releases(one).join(', ') || (named.unread.length ? '?' : ''),
    going.includes(one) ? 'goes' : '',
  ]
  printResult(
    table([
      ['image', 'tags', 'digest', 'size', 'age', 'releases', ''],
      ...sortNewestFirst(versions).map(row),
    ]),
  )
  if (!prune) return
  requireReadableReleases(named)
  if (!commits && !images.some(listsUntagged))
    say(
      '  this registry lists no versions without a tag: --commits also removes those that only their commit names',
    )
  if (!going.length || dry)
    return say(going.length ? `  ${going.length} would be removed` : '  nothing to remove')
  await step(`Remove ${going.length} versions`, async () => {
    for (const one of going)
      await asRegistryFailure(`Remove ${one.image}@${shortenDigest(one.digest)}`, () =>
        removeVersion(one),
      )
  })
}

/** Throws Failure (refused) when it is not known which images releases name. */
function requireReadableReleases({ environments, unread }: ReleaseReferences): void {
  const what = 'Remove old images'
  if (!environments.length)
    throw new Failure(
      exit.refused,
      what,
      'no environment has its images there, so it is not known which are needed',
      {
        next: 'set images in an infra/k8s/overlays/*/environment.yaml',
      },
    )
  if (unread.length)
    throw new Failure(
      exit.refused,
      what,
      `the releases of ${unread.map(({ environment }) => environment).join(', ')} cannot be read`,
      {
        evidence: unread.map(({ environment, why }) => `${environment}: ${why}`).join('\n'),
        next: 'npx zx scripts/images.ts list --prune   (where all clusters can be reached)',
      },
    )
}

function formatAge(created: string): string {
  const hours = (Date.now() - Date.parse(created)) / 3_600_000
  if (Number.isNaN(hours)) return '?'
  return hours < 48 ? `${Math.floor(hours)} h` : `${Math.floor(hours / 24)} d`
}
