// Lists objects of a cluster for the doctor. What this user may not list stays undefined.
import type { Environment } from '../../kubernetes/environment.ts'
import { kubectl } from '../../kubernetes/kubectl.ts'
import { selectKinds, type Deployment, type Manifest } from '../../kubernetes/objects.ts'
import { backupMetricsName } from '../../monitoring/textfile.ts'
import type { ObservedObjects } from './cluster.ts'

/** What the doctor looks at of the cluster as a whole, and the controller of sealed Secrets. */
export function listClusterObjects(environment: Environment) {
  const { namespace, name } = environment.sealedSecrets
  const crd = 'metadata.name=sealedsecrets.bitnami.com'
  return awaitValues({
    nodes: see(environment, 'nodes'),
    namespaces: see(environment, 'namespaces'),
    storageClasses: see(environment, 'storageclasses'),
    ingressClasses: see(environment, 'ingressclasses'),
    priorityClasses: see(environment, 'priorityclasses'),
    apiServices: see(environment, 'apiservices'),
    crds: see(environment, 'customresourcedefinitions', '--field-selector', crd),
    controllers: seeDeployments(
      environment,
      namespace,
      '--field-selector',
      `metadata.name=${name}`,
    ),
    daemonSets: see(environment, 'daemonsets', '--all-namespaces'),
    backupMetrics: see(
      environment,
      'configmaps',
      '--field-selector',
      `metadata.name=${backupMetricsName}`,
    ),
  })
}

async function awaitValues<T extends Record<string, Promise<unknown>>>(
  work: T,
): Promise<{ [Key in keyof T]: Awaited<T[Key]> }> {
  const entries = Object.entries(work).map(async ([key, value]) => [key, await value] as const)
  return Object.fromEntries(await Promise.all(entries)) as { [Key in keyof T]: Awaited<T[Key]> }
}

async function see(
  environment: Environment,
  kind: string,
  ...argv: string[]
): Promise<ObservedObjects> {
  const output = await kubectl(environment, ['get', kind, ...argv, '--output', 'json'], {
    nothrow: true,
  })
  return output.code === 0 ? (JSON.parse(output.stdout) as { items: Manifest[] }).items : undefined
}

/** The Deployments of a namespace; `argv`: further arguments of `kubectl get`. */
export async function seeDeployments(
  environment: Environment,
  namespace: string,
  ...argv: string[]
): Promise<Deployment[] | undefined> {
  const all = await see(environment, 'deployments', '--namespace', namespace, ...argv)
  return all && selectKinds(all, 'Deployment')
}
