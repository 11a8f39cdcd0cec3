// Reads from a cluster what the doctor needs to know. Reads only; what this user may not read stays
// undefined.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { buildKustomization, renderManifests } from '../kubernetes/kustomize.ts'
import { selectKinds, type Manifest, type Deployment } from '../kubernetes/objects.ts'
import { kubectl, lastOutputLine, readKubectlConfig } from '../kubernetes/kubectl.ts'
import { loadEnvironment, listEnvironments, type Environment } from '../kubernetes/environment.ts'
import { root } from '../repository.ts'
import { findMissingPermissions, listRequiredPermissions } from '../kubernetes/permissions.ts'
import { judgeCluster, type ClusterFacts, type ObservedObjects } from './cluster.ts'
import type { Finding } from './finding.ts'
import { Failure } from '../errors.ts'
import { hasCommand } from '../run.ts'

/**
 * Everything that is to be said of an environment's cluster; without a name of the one that lives
 * in the current context.
 */
export async function examineCluster(
  name?: string,
): Promise<{ name: string; findings: Finding[] }> {
  const there = await hasCommand('kubectl')
  const words = async (argv: string[]) => (there ? readKubectlConfig(argv) : '')
  const [current, contexts] = await Promise.all([
    words(['current-context']),
    words(['get-contexts', '--output', 'name']),
  ])
  const all = listEnvironments().map(loadEnvironment)
  const environment = name
    ? loadEnvironment(name)
    : (all.find(({ context }) => context === current) ??
      all.find(({ context }) => !context) ??
      loadEnvironment())
  const facts = {
    environment,
    kubectl: there,
    current,
    contexts: contexts.split('\n').filter(Boolean),
  }
  return {
    name: environment.name,
    findings: judgeCluster({ ...facts, ...(await ask(environment, facts)) }),
  }
}

type Asked = Omit<ClusterFacts, 'environment' | 'kubectl' | 'current' | 'contexts'>
const nothing: Asked = {
  nodes: undefined,
  namespaces: undefined,
  storageClasses: undefined,
  ingressClasses: undefined,
  priorityClasses: undefined,
  apiServices: undefined,
  crds: undefined,
  controllers: undefined,
  daemonSets: undefined,
  deployments: undefined,
  clusterFolder: '',
  clusterManifests: [],
  overlay: undefined,
  missingPermissions: [],
}

async function ask(
  environment: Environment,
  known: Pick<ClusterFacts, 'kubectl' | 'contexts' | 'current'>,
): Promise<Asked> {
  if (!known.kubectl || !known.contexts.includes(environment.context ?? known.current))
    return nothing
  const output = await kubectl(
    environment,
    ['version', '--output', 'json', '--request-timeout', '8s'],
    {
      nothrow: true,
      timeout: 12_000,
    },
  )
  const version = output.stdout.trim()
    ? (JSON.parse(output.stdout) as { serverVersion?: NonNullable<ClusterFacts['version']> })
        .serverVersion
    : undefined
  if (!version) return { ...nothing, apiError: lastOutputLine({ ...output, stdout: '' }) }
  const own = `${environment.folder}/cluster`
  const clusterFolder = existsSync(join(root, own)) ? own : 'infra/k8s/cluster'
  const made = await buildKustomization(environment, clusterFolder)
  const homes = [
    ...new Set(
      made
        .filter(({ kind }) => kind === 'Deployment')
        .map(({ metadata }) => metadata.namespace ?? ''),
    ),
  ]
  // other environments' namespaces are not this one's concern
  const clusterManifests = made.filter(
    ({ kind, metadata }) =>
      kind !== 'Namespace' || [environment.namespace, ...homes].includes(metadata.name),
  )
  const { namespace, name } = environment.sealedSecrets
  const overlay = await overlayOf(environment)
  const [
    nodes,
    namespaces,
    storageClasses,
    ingressClasses,
    priorityClasses,
    apiServices,
    crds,
    controllers,
    daemonSets,
    ...deployments
  ] = await Promise.all([
    see(environment, 'nodes'),
    see(environment, 'namespaces'),
    see(environment, 'storageclasses'),
    see(environment, 'ingressclasses'),
    see(environment, 'priorityclasses'),
    see(environment, 'apiservices'),
    see(
      environment,
      'customresourcedefinitions',
      '--field-selector',
      'metadata.name=sealedsecrets.bitnami.com',
    ),
    seeDeployments(environment, namespace, '--field-selector', `metadata.name=${name}`),
    see(environment, 'daemonsets', '--all-namespaces'),
    ...homes.map(home => seeDeployments(environment, home)),
  ])
  return {
    version,
    nodes,
    namespaces,
    storageClasses,
    ingressClasses,
    priorityClasses,
    apiServices,
    crds,
    controllers,
    daemonSets,
    deployments: deployments.every(Boolean) ? deployments.flatMap(list => list ?? []) : undefined,
    clusterFolder,
    clusterManifests,
    ...overlay,
    missingPermissions: await findMissingPermissions(
      environment,
      listRequiredPermissions(overlay.overlay ?? []),
      {
        nothrow: true,
      },
    ),
  }
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

async function seeDeployments(
  environment: Environment,
  namespace: string,
  ...argv: string[]
): Promise<Deployment[] | undefined> {
  const all = await see(environment, 'deployments', '--namespace', namespace, ...argv)
  return all && selectKinds(all, 'Deployment')
}

async function overlayOf(
  environment: Environment,
): Promise<Pick<ClusterFacts, 'overlay' | 'buildError'>> {
  try {
    return { overlay: await renderManifests(environment) }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return {
      overlay: undefined,
      buildError: { why: `${error.what}: ${error.why}`, next: error.next ?? '' },
    }
  }
}
