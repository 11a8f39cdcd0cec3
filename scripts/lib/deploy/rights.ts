// What an account must be allowed to do for a change, asked before it begins.
import { kubectl, kubectlArgv, type Manifest, type Place } from '../cluster/cluster.ts'
import { Failure, exit } from '../errors.ts'

const plural = (kind: string): string => kind.toLowerCase().replace(/y$/, 'ie').replace(/s$/, 'se') + 's'
const groupOf = ({ apiVersion }: Manifest): string => (apiVersion as string).split('/').reverse()[1] ?? ''

/** The rights for all that will be done, asked in one call. */
export async function mayAll(place: Place, all: Manifest[]): Promise<void> {
  const wanted = new Set<string>()
  const want = (group: string, resource: string, ...verbs: string[]) => verbs.forEach(verb => wanted.add([verb, group, ...resource.split('/')].join(' ')))
  for (const one of all) want(groupOf(one), plural(one.kind), 'get', 'create', 'patch', ...(/Secret|VolumeClaim/.test(one.kind) ? [] : ['delete']))
  want('', 'configmaps', 'list', 'create', 'update', 'delete')
  want('coordination.k8s.io', 'leases', 'get', 'create', 'update')
  want('', 'pods', 'list', 'delete')
  for (const resource of ['events', 'secrets']) want('', resource, 'list')
  want('', 'pods/log', 'get')
  want('', 'pods/exec', 'create')
  for (const resource of ['deployments', 'statefulsets', 'replicasets', 'controllerrevisions']) want('apps', resource, 'list')
  want('batch', 'jobs', 'list')
  const reviews = [...wanted].map(one => {
    const [verb, group, resource, subresource] = one.split(' ')
    return {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { namespace: place.namespace, verb, group, resource, ...(subresource ? { subresource } : {}) } },
    }
  })
  const template = '{.spec.resourceAttributes.verb} {.spec.resourceAttributes.resource} {.spec.resourceAttributes.subresource} {.status.allowed}{"\\n"}'
  const { stdout } = await kubectl(place, ['create', '--filename', '-', '--output', `jsonpath=${template}`], {
    input: reviews.map(one => JSON.stringify(one)).join('\n'),
    what: 'Ask what this account may do',
  })
  const denied = stdout
    .split('\n')
    .filter(line => line.endsWith('false'))
    .map(line => line.replace(/ +false$/, '').replace(/^(\S+ \S+) (\S+)$/, '$1/$2'))
  if (denied.length)
    throw new Failure(exit.refused, 'Ask what this account may do', `it may not: ${denied.join(', ')}`, {
      next: `${kubectlArgv(place).join(' ')} auth can-i --list; the rights are in infra/k8s/cluster/deployer`,
    })
}
