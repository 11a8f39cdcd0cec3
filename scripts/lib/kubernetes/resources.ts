// Objects of an environment as the API server has them: where they are, and how they are read and
// deleted.
import { requestApi, requireApiSuccess, type ApiAnswer } from './api.ts'
import type { Environment } from './environment.ts'
import type { Manifest } from './objects.ts'

/** The path of a resource such as `apps/v1/deployments` in the environment's namespace, or of one object. */
export function resourcePath({ namespace }: Environment, resource: string, name?: string): string {
  const [kind, version, group] = resource.split('/').reverse()
  const root = group ? `/apis/${group}/${version}` : `/api/${version}`
  return `${root}/namespaces/${namespace}/${kind}${name ? `/${encodeURIComponent(name)}` : ''}`
}

/**
 * The objects of some resources, such as `v1/pods`, as the cluster has them; `ask` may be a more
 * patient requestApi. Throws Failure (refused) with the API server's words.
 */
export async function listObjects(
  environment: Environment,
  resources: string[],
  { what = `Ask ${environment.namespace}`, ask = requestApi } = {},
): Promise<Manifest[]> {
  const lists = resources.map(async resource => {
    const answer = await ask(environment, resourcePath(environment, resource), { what })
    return readList(requireApiSuccess(environment, answer, what))
  })
  return (await Promise.all(lists)).flat()
}

/** One object, or undefined when it is not there. Throws Failure (refused) for any other answer. */
export async function findObject(
  environment: Environment,
  resource: string,
  name: string,
  { what = `Ask ${environment.namespace}`, ask = requestApi } = {},
): Promise<Manifest | undefined> {
  const answer = await ask(environment, resourcePath(environment, resource, name), { what })
  return answer.status === 404 ? undefined : requireApiSuccess(environment, answer, what)
}

/** Deletes an object, if it is there, and waits for nothing. Throws Failure (refused). */
export async function deleteObject(
  environment: Environment,
  resource: string,
  name: string,
  { what = `Remove ${name}`, ask = requestApi } = {},
): Promise<void> {
  const answer = await ask(environment, resourcePath(environment, resource, name), {
    method: 'DELETE',
    what,
  })
  if (answer.status !== 404) requireApiSuccess(environment, answer, what)
}

/** Which part of a log is wanted: the API's own parameters. */
export interface LogQuery {
  container: string
  tailLines?: number
  sinceSeconds?: number
  /** That of the container before its last restart. */
  previous?: boolean
}

/** Asks for what a container has logged, within `timeout` ms. */
export function requestLog(
  environment: Environment,
  pod: string,
  query: LogQuery,
  timeout: number,
): Promise<ApiAnswer> {
  const words = Object.entries(query).map(([key, value]) => `${key}=${value}`)
  const path = `${resourcePath(environment, 'v1/pods', pod)}/log?${words.join('&')}`
  return requestApi(environment, path, { timeout })
}

/** The objects of a list, which alone says of which kind they are. */
export const readList = ({ kind, apiVersion, items }: Manifest): Manifest[] =>
  (items as Manifest[]).map(one => ({ ...one, apiVersion, kind: kind.replace(/List$/, '') }))

/** By `apiVersion kind` its resource; undefined for one that is not in a namespace. */
export type KnownResources = Map<string, string | undefined>

/** How KnownResources calls the kind of an object. */
export const kindKeyOf = ({ apiVersion, kind }: Manifest): string => `${apiVersion} ${kind}`

/**
 * What the cluster knows of the kinds of these objects and their like. Throws Failure (refused) when
 * it does not say.
 */
export async function discoverResources(
  environment: Environment,
  all: Manifest[],
): Promise<KnownResources> {
  const versions = [...new Set(all.map(({ apiVersion }) => apiVersion as string))]
  const lists = versions.map(async version => {
    const answer = await requestApi(
      environment,
      `/${version.includes('/') ? 'apis' : 'api'}/${version}`,
    )
    if (answer.status === 404) return []
    const { resources } = requireApiSuccess<ResourceList>(environment, answer)
    return resources
      .filter(({ name }) => !name.includes('/'))
      .map(({ name, kind, namespaced }): [string, string | undefined] => [
        `${version} ${kind}`,
        namespaced ? `${version}/${name}` : undefined,
      ])
  })
  return new Map((await Promise.all(lists)).flat())
}

interface ResourceList {
  resources: { name: string; kind: string; namespaced: boolean }[]
}
