// Asks image registries (the OCI distribution API) what they have; nothing is pulled.
import type { Response } from 'node-fetch'
import { fetchWeb } from '../../http.ts'
import { RegistryError, readRefusal, toUnreachableError } from './errors.ts'
import { parseImage, registryHostOf } from '../reference.ts'
import { fetchAuthorization, findRegistryLogin, registryScheme } from './auth.ts'

const manifestTypes = [
  'oci.image.index.v1',
  'oci.image.manifest.v1',
  'docker.distribution.manifest.list.v2',
  'docker.distribution.manifest.v2',
]
export const acceptedManifests = manifestTypes
  .map(type => `application/vnd.${type}+json`)
  .join(', ')

export interface RegistryRequest {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** In the place of this machine's login; '' asks as somebody without one. In base64. */
  login?: string | undefined
}

const tokens = new Map<string, string>()

/**
 * Calls `/v2/<path>` of a registry, with the login or the token that it asks for. Out: its answer,
 * when that is ok.
 * Throws RegistryError that says in words why not.
 */
export async function callRegistry(
  host: string,
  path: string,
  { method = 'GET', headers = {}, body, login }: RegistryRequest = {},
): Promise<Response> {
  const repository = path.replace(/^.*?\/v2\//, '').replace(/\/(manifests|blobs|tags)\/.*/, '')
  const key = `${host} ${repository} ${method} ${login}`
  // GitHub's registry asks for no more than pull, whatever is called
  const scope = ['POST', 'PATCH', 'PUT'].includes(method)
    ? `repository:${repository}:pull,push`
    : undefined
  const call = () =>
    fetchWeb(new URL(path, `${registryScheme(host)}://${host}/v2/`), {
      method,
      headers: { ...headers, ...(tokens.get(key) ? { authorization: tokens.get(key)! } : {}) },
      signal: AbortSignal.timeout(10_000),
      ...(body === undefined ? {} : { body }),
    })
  try {
    let answer = await call()
    if (answer.status === 401) {
      tokens.set(
        key,
        await fetchAuthorization(host, answer.headers.get('www-authenticate') ?? '', scope, login),
      )
      answer = await call()
    }
    if (answer.ok) return answer
    throw await readRefusal(host, method, answer, login ?? (await findRegistryLogin(host)))
  } catch (error) {
    throw error instanceof RegistryError ? error : toUnreachableError(host, error as Error)
  }
}

/**
 * Whether a registry answers at all within `timeout` ms; a refusal to anonymous callers is an
 * answer.
 */
export async function isRegistryReachable(host: string, timeout = 8_000): Promise<boolean> {
  try {
    await fetchWeb(`${registryScheme(host)}://${host}/v2/`, {
      signal: AbortSignal.timeout(timeout),
      redirect: 'manual',
    })
    return true
  } catch {
    return false
  }
}

/** The registries of these images that do not answer within `timeout` ms. */
export async function findUnreachableRegistries(
  images: string[],
  timeout?: number,
): Promise<string[]> {
  const hosts = [...new Set(images.map(registryHostOf))]
  const answers = await Promise.all(hosts.map(host => isRegistryReachable(host, timeout)))
  return hosts.filter((_, i) => !answers[i])
}

/**
 * The digest that an image has in its registry. Throws RegistryError that says in words why there
 * is none.
 */
export async function fetchImageDigest(image: string, login?: string): Promise<string> {
  const { host, repository, tag = 'latest', digest } = parseImage(image)
  const answer = await callRegistry(host, `${repository}/manifests/${digest ?? tag}`, {
    method: 'HEAD',
    headers: { accept: acceptedManifests },
    login,
  })
  const found = digest ?? answer.headers.get('docker-content-digest')
  if (!found) throw new RegistryError(`${host} names no digest`, 400)
  return found
}

/** The same; undefined when the image is not there. */
export const findImageDigest = (image: string): Promise<string | undefined> =>
  fetchImageDigest(image).catch(error => {
    if (error instanceof RegistryError && error.status === 404) return undefined
    throw error
  })
