// The images in GitHub's registry, by its packages API.
import { parseRetryAfter } from '../retry.ts'
import { createOctokit } from '../github/client.ts'
import { retryRegistry } from './registry/retry.ts'
import { RegistryError } from './registry/errors.ts'
import { parseImage } from './reference.ts'
import { keepSecret } from '../redact.ts'
import type { ListedVersion, ImageVersion } from './retention.ts'

interface PackageVersion {
  id: number
  name: string
  created_at: string
  metadata?: { container?: { tags: string[] } }
}

const quoted = encodeURIComponent

/**
 * A call for a package of an organisation or, where there is none of this name, of a user. Throws
 * RegistryError that names the scope that is missing.
 */
async function callPackagesApi<T>(
  image: string,
  method: 'GET' | 'DELETE',
  path: string,
): Promise<T> {
  const token = process.env.GITHUB_TOKEN || process.env.GH_TOKEN
  keepSecret(token)
  if (!token)
    throw new RegistryError(
      'GitHub lists packages only with a token: set GITHUB_TOKEN to one with read:packages',
      401,
    )
  const octokit = await createOctokit({ token, api: process.env.GITHUB_API_URL })
  const [owner = '', ...name] = parseImage(image).repository.split('/')
  const request = (whose: string) =>
    octokit.request(
      `${method} /${whose}/${quoted(owner)}/packages/container/${quoted(name.join('/'))}/${path}`,
    )
  return retryRegistry(image, async () => {
    try {
      const { data } = await request('orgs').catch(error =>
        httpStatusOf(error) === 404 ? request('users') : Promise.reject(error),
      )
      return data as T
    } catch (error) {
      throw toRegistryError(error, method)
    }
  })
}

const httpStatusOf = (error: unknown) => (error as { status?: number }).status ?? 0

function toRegistryError(error: unknown, method: 'GET' | 'DELETE'): RegistryError {
  const status = httpStatusOf(error)
  const { response, message } = error as {
    response?: { headers: Record<string, string> }
    message: string
  }
  const wait = parseRetryAfter(response?.headers['retry-after']) / 1000 || undefined
  const scope = method === 'GET' ? 'read:packages' : 'delete:packages'
  const limited = status === 403 && (wait || response?.headers['x-ratelimit-remaining'] === '0')
  if (limited) return new RegistryError("GitHub's limit of requests is reached", 429, wait)
  if (status === 401 || status === 403)
    return new RegistryError(`GitHub denies it (${status}): the token lacks ${scope}`, status)
  return new RegistryError(
    status ? `GitHub answers ${status}` : `GitHub cannot be reached (${message})`,
    response ? status : 0,
    wait,
  )
}

/** All versions of an image, with and without tags; none for a package that is not there. */
export async function listGitHubVersions(image: string): Promise<ListedVersion[]> {
  const all: PackageVersion[] = []
  try {
    for (let page = 1; all.length === (page - 1) * 100; page++)
      all.push(
        ...(await callPackagesApi<PackageVersion[]>(
          image,
          'GET',
          `versions?per_page=100&page=${page}`,
        )),
      )
  } catch (error) {
    if (error instanceof RegistryError && error.status === 404) return []
    throw error
  }
  return all.map(({ id, name, created_at, metadata }) => ({
    image,
    id,
    digest: name,
    created: created_at,
    tags: metadata?.container?.tags ?? [],
  }))
}

/** Removes a version; GitHub keeps it restorable for 30 days. */
export const removeGitHubVersion = async ({ image, id }: ImageVersion): Promise<void> =>
  void (await callPackagesApi(image, 'DELETE', `versions/${id}`))
