// Manifests in a registry: read, and given a tag.
import { createHash } from 'node:crypto'
import { patiently } from './patience.ts'
import { RegistryError } from './registry-answer.ts'
import { accept, ask, digestIfThere, digestOf, parseImage } from './registry.ts'

interface Manifest {
  config?: { digest: string; size: number }
  layers?: { digest: string; size: number }[]
  manifests?: { digest: string; platform?: { os?: string } }[]
}

interface Configuration {
  created?: string
  config?: { Labels?: Record<string, string> | null }
}

const manifest = (name: string, digest: string): Promise<Response> => {
  const { host, repository } = parseImage(name)
  return patiently(name, () =>
    ask(host, `${repository}/manifests/${digest}`, { headers: { accept } }),
  )
}

/** Gives an image that is in its registry a tag. Throws RegistryError unless the registry then has it under that tag. */
export async function tagImage(name: string, digest: string, tag: string): Promise<void> {
  const { host, repository } = parseImage(name)
  const image = `${name}:${tag}`
  if ((await patiently(image, () => digestIfThere(image))) !== digest) {
    const answer = await manifest(name, digest)
    const body = await answer.text()
    if (`sha256:${createHash('sha256').update(body).digest('hex')}` !== digest)
      throw new RegistryError(`${host} gives another manifest than ${digest}`, 400)
    const headers = { 'content-type': answer.headers.get('content-type')! }
    await patiently(image, () =>
      ask(host, `${repository}/manifests/${tag}`, { method: 'PUT', headers, body }),
    )
  }
  const now = await patiently(image, () => digestOf(image))
  if (now !== digest)
    throw new RegistryError(`${host} has ${now} as ${tag}, but ${digest} was pushed`, 400)
}

interface Contents {
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
export async function contentsOf(name: string, digest: string): Promise<Contents> {
  const { host, repository } = parseImage(name)
  const {
    config,
    layers = [],
    manifests,
  } = (await (await manifest(name, digest)).json()) as Manifest
  if (manifests) {
    const parts = manifests.filter(({ platform }) => platform?.os !== 'unknown')
    // a part that somebody has removed is one no longer
    const images = (
      await Promise.all(parts.map(one => contentsOf(name, one.digest).catch(ifMissing)))
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
      await patiently(name, () => ask(host, `${repository}/blobs/${digest}`))
    ).json()) as Configuration
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
export function ifMissing(error: unknown): undefined {
  if (!(error instanceof RegistryError) || error.status !== 404) throw error
}
