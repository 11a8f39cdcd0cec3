// `images.ts list`: what the registry keeps of the images built here, and what of it can go.
import { targets } from './bake.ts'
import { Failure, exit } from '../errors.ts'
import { namedByReleases, type Named } from './named.ts'
import { requireOwner } from './owner.ts'
import { short } from './pins.ts'
import { refused } from './push.ts'
import { parseImage, registryOf } from './registry.ts'
import { color, emit, megabytes, result, say, step, table } from '../report.ts'
import { removeVersion, tellsUntagged, versionsOf } from './stock-ask.ts'
import { newestFirst, removable, type Version } from './stock.ts'

export interface Options {
  prune: boolean
  commits: boolean
  /** How many of the newest stay. */
  keep: number
  dry: boolean
}

/** Lists all versions; with `prune` removes those that nobody needs. */
export async function lists({ prune, commits, keep, dry }: Options): Promise<void> {
  const images = [
    ...new Set((await targets()).map(({ image }) => parseImage(image).name.toLowerCase())),
  ]
  requireOwner('List the images', images)
  const what = `Ask ${[...new Set(images.map(registryOf))].join(', ')}`
  const versions = await step(what, async () =>
    (await Promise.all(images.map(image => refused(what, () => versionsOf(image))))).flat(),
  )
  const named = await step('Read the releases', () => namedByReleases(images))
  for (const { environment, why } of named.unread)
    say(color.yellow(`  ${environment}: its releases cannot be read (${why})`))
  const keeping = { newest: keep, named: new Set(named.by.keys()), commits }
  const going = prune
    ? images.flatMap(image =>
        removable(
          versions.filter(one => one.image === image),
          keeping,
        ),
      )
    : []
  const releases = (one: Version) =>
    [one.digest, ...one.children].flatMap(digest => named.by.get(digest) ?? [])
  emit('result', {
    versions: versions.map(one => ({ ...one, releases: releases(one) })),
    removed: going.map(({ image, digest }) => ({ image, digest })),
  })
  const row = (one: Version) => [
    one.image,
    one.tags.join(', ') || '(none)',
    short(one.digest),
    megabytes(one.size),
    age(one.created),
    releases(one).join(', ') || (named.unread.length ? '?' : ''),
    going.includes(one) ? 'goes' : '',
  ]
  result(
    table([
      ['image', 'tags', 'digest', 'size', 'age', 'releases', ''],
      ...newestFirst(versions).map(row),
    ]),
  )
  if (!prune) return
  requireReleases(named)
  if (!commits && !images.some(tellsUntagged))
    say(
      '  this registry lists no versions without a tag: --commits also removes those that only their commit names',
    )
  if (!going.length || dry)
    return say(going.length ? `  ${going.length} would be removed` : '  nothing to remove')
  await step(`Remove ${going.length} versions`, async () => {
    for (const one of going)
      await refused(`Remove ${one.image}@${short(one.digest)}`, () => removeVersion(one))
  })
}

/** Throws Failure (refused) when it is not known which images releases name. */
function requireReleases({ environments, unread }: Named): void {
  const what = 'Remove old images'
  if (!environments.length)
    throw new Failure(
      exit.refused,
      what,
      'no environment has its images there, so nobody knows which are needed',
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

function age(created: string): string {
  const hours = (Date.now() - Date.parse(created)) / 3_600_000
  return Number.isNaN(hours)
    ? '?'
    : hours < 48
      ? `${Math.floor(hours)} h`
      : `${Math.floor(hours / 24)} d`
}
