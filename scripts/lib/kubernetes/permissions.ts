// What an account must be allowed to do for a deploy, and what of it this one may not.
import { kubectl, type Manifest } from './kubectl.ts'
import type { Environment } from './environment.ts'
import type { RunOptions } from '../run.ts'

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

/**
 * Those of the rights that the current account does not have, asked in one call; with `nothrow`
 * none when the cluster does not say.
 */
export async function findMissingPermissions(
  environment: Environment,
  rights: string[],
  options: RunOptions = {},
): Promise<string[]> {
  const reviews = rights.map(right => {
    const [, verb, resource, group = '', subresource = ''] =
      /^(\w+) ([a-z]+)(?:\.([a-z0-9.-]+))?(?:\/(\w+))?$/.exec(right)!
    const resourceAttributes = {
      namespace: environment.namespace,
      verb,
      resource,
      group,
      subresource,
    }
    return {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes },
    }
  })
  const input = reviews.map(one => JSON.stringify(one)).join('\n')
  // who may not list CRDs could not ask at all: kubectl looks for them to validate
  const argv = [
    'create',
    '--validate=false',
    '--filename',
    '-',
    '--output',
    'jsonpath={.status.allowed}{"\\n"}',
  ]
  const { code, stdout } = await kubectl(environment, argv, {
    ...options,
    input,
    what: 'Check the permissions of this account',
  })
  const answers = stdout.trim().split('\n')
  return code === 0 ? rights.filter((_, i) => answers[i] !== 'true') : []
}
