// The permissions that a deploy needs, and which of them this account lacks.
import { isApiSuccess, requestApi, requireApiSuccess } from './api.ts'
import type { Environment } from './environment.ts'
import type { Manifest } from './objects.ts'

const pluralizeKind = (kind: string): string =>
  kind.toLowerCase().replace(/y$/, 'ie').replace(/s$/, 'se') + 's'
const apiResourceOf = ({ apiVersion, kind }: Manifest): string =>
  [pluralizeKind(kind), ...(apiVersion as string).split('/').slice(0, -1)].join('.')
const combineVerbs = (resource: string, ...verbs: string[]): string[] =>
  verbs.map(verb => `${verb} ${resource}`)

/**
 * All that a deploy of these manifests does, as `verb resource.group[/subresource]`: it writes what
 * they make and looks at what becomes of it.
 * infra/k8s/cluster/deployer grants it.
 */
export function listRequiredPermissions(all: Manifest[]): string[] {
  const own = all.flatMap(one =>
    combineVerbs(
      apiResourceOf(one),
      'get',
      'list',
      'create',
      'patch',
      ...(/Secret|VolumeClaim/.test(one.kind) ? [] : ['delete']),
    ),
  )
  const watched = [
    'deployments.apps',
    'statefulsets.apps',
    'replicasets.apps',
    'controllerrevisions.apps',
    'jobs.batch',
    'events',
    'secrets',
  ]
  return [
    ...new Set([
      ...own,
      ...combineVerbs('configmaps', 'list', 'create', 'update', 'delete'),
      ...combineVerbs('leases.coordination.k8s.io', 'get', 'create', 'update'),
      ...combineVerbs('pods', 'list', 'delete'),
      ...combineVerbs('pods/log', 'get'),
      ...combineVerbs('pods/exec', 'create'),
      ...watched.flatMap(resource => combineVerbs(resource, 'list')),
    ]),
  ]
}

/** All that a backup of an environment does; an account that deploys has it. */
export const backupPermissions: string[] = [
  ...['statefulsets.apps', 'deployments.apps', 'jobs.batch'].flatMap(one =>
    combineVerbs(one, 'list'),
  ),
  ...['persistentvolumeclaims', 'pods', 'services', 'secrets', 'configmaps', 'events'].flatMap(
    one => combineVerbs(one, 'list'),
  ),
  ...combineVerbs('networkpolicies.networking.k8s.io', 'list'),
  ...combineVerbs('jobs.batch', 'create', 'delete'),
  ...combineVerbs('configmaps', 'create', 'patch', 'delete'),
  ...combineVerbs('pods/exec', 'create'),
  ...combineVerbs('leases.coordination.k8s.io', 'get', 'create', 'update'),
]

/** All that a restore does. */
export const restorePermissions: string[] = [
  ...backupPermissions,
  ...['deployments.apps', 'statefulsets.apps', 'networkpolicies.networking.k8s.io'].flatMap(one =>
    combineVerbs(one, 'patch'),
  ),
]

/** All that the drill of a restore does. */
export const drillPermissions: string[] = [
  ...backupPermissions,
  ...[
    ...['deployments.apps', 'statefulsets.apps', 'networkpolicies.networking.k8s.io'],
    ...['services', 'persistentvolumeclaims'],
  ].flatMap(one => combineVerbs(one, 'create')),
  ...combineVerbs('replicasets.apps', 'list'),
]

/**
 * Those of the rights that the current account does not have; with `nothrow` none when the cluster
 * does not say.
 */
export async function findMissingPermissions(
  environment: Environment,
  rights: string[],
  { nothrow = false } = {},
): Promise<string[]> {
  const what = 'Check the permissions of this account'
  const isMissing = async (right: string) => {
    const answer = await requestApi(
      environment,
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      {
        method: 'POST',
        body: createAccessReview(environment, right),
        what,
      },
    )
    if (nothrow && !isApiSuccess(answer)) return false
    return !requireApiSuccess(environment, answer, what).status?.allowed
  }
  const missing = await Promise.all(rights.map(isMissing))
  return rights.filter((_, i) => missing[i])
}

function createAccessReview({ namespace }: Environment, right: string): object {
  const [, verb, resource, group = '', subresource = ''] =
    /^(\w+) ([a-z]+)(?:\.([a-z0-9.-]+))?(?:\/(\w+))?$/.exec(right)!
  return {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace, verb, resource, group, subresource } },
  }
}
