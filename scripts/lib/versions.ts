// Which images a change takes: the tags of those that are built of KGC's commit, and the digest of each.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Manifest, Place } from './cluster.ts'
import { dockerFolder } from './compose.ts'
import type { Refusals } from './refusals.ts'
import { digestOf, parseImage } from './registry.ts'
import type { Stored } from './release.ts'
import { imagesOf, withImages, withTag } from './stamp.ts'

/** The names of the images that are built of KGC's own commit, by the file that says how. */
function commitImages({ images }: Place): string[] {
  const { services } = parse(readFileSync(join(dockerFolder, 'docker-compose.build.yml'), 'utf8')) as { services: Record<string, { image: string }> }
  const own = Object.values(services)
    .map(({ image }) => image)
    .filter(image => image.includes('${KGC_REF'))
  return images ? own.map(image => `${images}/${/([\w-]+):\$/.exec(image)![1]}`) : []
}

/** A deploy's manifests before they are stamped: --tag names the commit of KGC's images; without it they stay as they serve. */
export function tagged(place: Place, all: Manifest[], tag: string | undefined, last: Stored | undefined, refusals: Refusals): Manifest[] {
  const names = commitImages(place)
  if (tag) return withTag(all, names, tag)
  const missing = new Set<string>()
  const result = withImages(all, old => {
    const image = parseImage(old)
    if (image.tag !== 'unset') return old
    const now = imagesOf(last?.manifests ?? []).find(one => parseImage(one).name === image.name)
    if (!now) missing.add(image.name)
    return now ?? old
  })
  if (missing.size) refusals.add(`no release says which commit of ${[...missing].join(', ')} serves: --tag SHA`)
  return result
}

/** The digest of every image, and whether those to go back to are still there. */
export async function resolve(all: Manifest[], last: Stored | undefined, refusals: Refusals): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  const now = imagesOf(all)
  const ask = (image: string, words: string) =>
    digestOf(image).then(
      digest => digests.set(image, digest),
      error => refusals.add(`${words} ${image}: ${(error as Error).message}`),
    )
  const old = imagesOf(last?.manifests.filter(({ kind }) => kind !== 'Job') ?? []).filter(image => !now.includes(image))
  await Promise.all([...now.map(image => ask(image, 'the image')), ...old.map(image => ask(image, `the image to go back to, of release ${last?.number},`))])
  return digests
}
