// Asks a registry which versions of an image it keeps, and removes some. On GitHub's that is done
// through its packages API: there the distribution API deletes nothing, and it lists what has no
// tag nowhere.
import type { Response } from 'node-fetch'
import { listGitHubVersions, removeGitHubVersion } from './github-packages.ts'
import { retryRegistry } from './registry/retry.ts'
import { readImageContents, ignoreNotFound } from './registry/manifests.ts'
import { parseImage } from './reference.ts'
import { acceptedManifests, callRegistry, findImageDigest } from './registry/client.ts'
import type { ListedVersion, ImageVersion } from './retention.ts'

/** Whether a registry tells of versions without a tag. */
export const listsUntagged = (image: string): boolean => parseImage(image).host === 'ghcr.io'

/** All versions of an image that its registry tells of; none for an image that was never pushed. */
export async function listImageVersions(image: string): Promise<ImageVersion[]> {
  const found = listsUntagged(image)
    ? await listGitHubVersions(image)
    : await listTaggedVersions(image)
  const versions: ImageVersion[] = []
  const lane = async () => {
    for (let one = found.shift(); one; one = found.shift()) {
      const contents = await readImageContents(image, one.digest).catch(ignoreNotFound)
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

async function listTaggedVersions(image: string): Promise<ListedVersion[]> {
  const { host, repository } = parseImage(image)
  const tags: string[] = []
  for (let path: string | undefined = `${repository}/tags/list?n=1000`; path;) {
    const answer: Response | undefined = await retryRegistry(image, () =>
      callRegistry(host, path!),
    ).catch(ignoreNotFound)
    if (!answer) return []
    tags.push(...(((await answer.json()) as { tags: string[] | null }).tags ?? []))
    const next = /<([^>]+)>;\s*rel="?next/.exec(answer.headers.get('link') ?? '')?.[1]
    path = next && new URL(next, answer.url).href
  }
  const versions = new Map<string, ListedVersion>()
  for (const tag of tags) {
    const digest = await retryRegistry(image, () => findImageDigest(`${image}:${tag}`))
    if (!digest) continue
    const version = versions.get(digest) ?? { image, digest, tags: [], created: '' }
    version.tags.push(tag)
    versions.set(digest, version)
  }
  return [...versions.values()]
}

/** Removes a version. */
export async function removeVersion(version: ImageVersion): Promise<void> {
  const { host, repository } = parseImage(version.image)
  if (version.id !== undefined) return removeGitHubVersion(version)
  await retryRegistry(version.image, () =>
    callRegistry(host, `${repository}/manifests/${version.digest}`, {
      method: 'DELETE',
      headers: { accept: acceptedManifests },
    }),
  )
}
