// Asks a registry which versions of an image it keeps, and removes some. On GitHub's that is done through its packages API: there the
// distribution API deletes nothing, and it lists what has no tag nowhere.
import { gitHubVersions, removeFromGitHub } from './packages.ts'
import { patiently } from './patience.ts'
import { contentsOf, ifMissing } from './registry-manifest.ts'
import { accept, ask, digestIfThere, parseImage } from './registry.ts'
import type { Listed, Version } from './stock.ts'

/** Whether a registry tells of versions without a tag. */
export const tellsUntagged = (image: string): boolean => parseImage(image).host === 'ghcr.io'

/** All versions of an image that its registry tells of; none for an image that was never pushed. */
export async function versionsOf(image: string): Promise<Version[]> {
  const found = tellsUntagged(image) ? await gitHubVersions(image) : await taggedVersions(image)
  const versions: Version[] = []
  const lane = async () => {
    for (let one = found.shift(); one; one = found.shift()) {
      const contents = await contentsOf(image, one.digest).catch(ifMissing)
      const { size = 0, created = '', children = [] } = contents ?? {}
      versions.push({
        ...one,
        size,
        children,
        created: one.created || created,
        ...(contents ? {} : { lost: true }),
      })
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  return versions
}

async function taggedVersions(image: string): Promise<Listed[]> {
  const { host, repository } = parseImage(image)
  const tags: string[] = []
  for (let path: string | undefined = `${repository}/tags/list?n=1000`; path;) {
    const answer: Response | undefined = await patiently(image, () => ask(host, path!)).catch(
      ifMissing,
    )
    if (!answer) return []
    tags.push(...(((await answer.json()) as { tags: string[] | null }).tags ?? []))
    const next = /<([^>]+)>;\s*rel="?next/.exec(answer.headers.get('link') ?? '')?.[1]
    path = next && new URL(next, answer.url).href
  }
  const versions = new Map<string, Listed>()
  for (const tag of tags) {
    const digest = await patiently(image, () => digestIfThere(`${image}:${tag}`))
    if (!digest) continue
    const version = versions.get(digest) ?? { image, digest, tags: [], created: '' }
    version.tags.push(tag)
    versions.set(digest, version)
  }
  return [...versions.values()]
}

/** Removes a version. */
export async function removeVersion(version: Version): Promise<void> {
  const { host, repository } = parseImage(version.image)
  if (version.id !== undefined) return removeFromGitHub(version)
  await patiently(version.image, () =>
    ask(host, `${repository}/manifests/${version.digest}`, {
      method: 'DELETE',
      headers: { accept },
    }),
  )
}
