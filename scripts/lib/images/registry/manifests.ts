// Manifests in a registry: read, and given a tag.
import { createHash } from 'node:crypto'
import type { Response } from 'node-fetch'
import { retryRegistry } from './retry.ts'
import { RegistryError } from './errors.ts'
import { parseImage } from '../reference.ts'
import { acceptedManifests, callRegistry, findImageDigest, fetchImageDigest } from './client.ts'

interface ImageManifest {
  config?: { digest: string; size: number }
  layers?: { digest: string; size: number }[]
  manifests?: { digest: string; platform?: { os?: string } }[]
}

interface ImageConfig {
  created?: string
  config?: { Labels?: Record<string, string> | null }
}

const fetchManifest = (name: string, digest: string): Promise<Response> => {
  const { host, repository } = parseImage(name)
  return retryRegistry(name, () =>
    callRegistry(host, `${repository}/manifests/${digest}`, {
      headers: { accept: acceptedManifests },
    }),
  )
}

/**
 * Gives an image that is in its registry a tag. Throws RegistryError unless the registry then has
 * it under that tag.
 */
export async function tagImage(name: string, digest: string, tag: string): Promise<void> {
  const { host, repository } = parseImage(name)
  const image = `${name}:${tag}`
  if ((await retryRegistry(image, () => findImageDigest(image))) !== digest) {
    const answer = await fetchManifest(name, digest)
    const body = await answer.text()
    if (`sha256:${createHash('sha256').update(body).digest('hex')}` !== digest)
      throw new RegistryError(`${host} gives another manifest than ${digest}`, 400)
    const headers = { 'content-type': answer.headers.get('content-type')! }
    await retryRegistry(image, () =>
      callRegistry(host, `${repository}/manifests/${tag}`, { method: 'PUT', headers, body }),
    )
  }
  const now = await retryRegistry(image, () => fetchImageDigest(image))
  if (now !== digest)
    throw new RegistryError(`${host} has ${now} as ${tag}, but ${digest} was pushed`, 400)
}

interface ImageContents {
  /** Bytes in the registry; what an image says of itself (SBOM, provenance) left out. */
  size: number
  /** When it was built; '' when it does not say. */
  created: string
  /** The digests of its layers. */
  layers: string[]
  /** The manifests that it consists of. */
  children: string[]
  labels: Record<string, string>
}

/** What an image consists of. */
export async function readImageContents(name: string, digest: string): Promise<ImageContents> {
  const { host, repository } = parseImage(name)
  const {
    config,
    layers = [],
    manifests,
  } = (await (await fetchManifest(name, digest)).json()) as ImageManifest
  if (manifests) {
    const parts = manifests.filter(({ platform }) => platform?.os !== 'unknown')
    // a part that somebody has removed is one no longer
    const images = (
      await Promise.all(parts.map(one => readImageContents(name, one.digest).catch(ignoreNotFound)))
    ).flatMap(one => one ?? [])
    const size = images.reduce((sum, one) => sum + one.size, 0)
    const children = [
      ...manifests.map(one => one.digest),
      ...images.flatMap(({ children }) => children),
    ]
    return {
      size,
      created: images[0]?.created ?? '',
      layers: images.flatMap(({ layers }) => layers),
      children,
      labels: images[0]?.labels ?? {},
    }
  }
  const read = async (digest: string) =>
    (await (
      await retryRegistry(name, () => callRegistry(host, `${repository}/blobs/${digest}`))
    ).json()) as ImageConfig
  const { created = '', config: { Labels } = {} } = config ? await read(config.digest) : {}
  return {
    size: [config, ...layers].reduce((sum, part) => sum + (part?.size ?? 0), 0),
    created,
    layers: layers.map(({ digest }) => digest),
    children: [],
    labels: Labels ?? {},
  }
}

/** Passes over what is not there. */
export function ignoreNotFound(error: unknown): undefined {
  if (!(error instanceof RegistryError) || error.status !== 404) throw error
}
