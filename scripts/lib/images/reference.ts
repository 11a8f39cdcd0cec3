// The names of images.

export interface ImageReference {
  /** The registry's host, as it is asked. */
  host: string
  /** The name as it stands in the manifest, without tag and digest. */
  name: string
  repository: string
  tag?: string
  digest?: string
}

/**
 * Reads `host/name:tag@digest`; Docker Hub is left out in names, and its official images are under
 * library/.
 */
export function parseImage(text: string): ImageReference {
  const [, name = text, tag, digest] =
    /^(.+?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text) ?? []
  const [first = '', ...rest] = name.split('/')
  const named = rest.length > 0 && /[.:]|^localhost$/.test(first)
  const onDockerHub = rest.length ? name : `library/${name}`
  const repository = named ? rest.join('/') : onDockerHub
  return {
    host: named && first !== 'docker.io' ? first : 'registry-1.docker.io',
    name,
    repository,
    ...(tag ? { tag } : {}),
    ...(digest ? { digest } : {}),
  }
}

/** The registry's host of an image: `traefik:v3` is on Docker Hub. */
export const registryHostOf = (image: string): string => parseImage(image).host
