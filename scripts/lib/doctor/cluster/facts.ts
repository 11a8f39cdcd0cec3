// Reads from a cluster what the doctor needs to know. Reads only; what this user may not read stays
// undefined.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { buildKustomization, renderManifests } from '../../kubernetes/kustomize.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { kubectl, readKubectlError, readKubectlConfig } from '../../kubernetes/kubectl.ts'
import {
  loadEnvironment,
  listEnvironments,
  type Environment,
} from '../../kubernetes/environment.ts'
import { createServerAccess, findOldPasswords } from '../../kubernetes/rotation/access.ts'
import { root } from '../../repository.ts'
import {
  findMissingPermissions,
  listRequiredPermissions,
  restorePermissions,
} from '../../kubernetes/permissions.ts'
import { discoverResources, kindKeyOf } from '../../kubernetes/resources.ts'
import { judgeCluster, type ClusterFacts } from './cluster.ts'
import { listClusterObjects, seeDeployments } from './objects.ts'
import type { Finding } from '../finding.ts'
import { Failure } from '../../errors.ts'
import { hasCommand } from '../../run.ts'

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
  backupMetrics: undefined,
  deployments: undefined,
  clusterFolder: '',
  clusterManifests: [],
  overlay: undefined,
  unknownKinds: [],
  oldPasswords: [],
  missingPermissions: [],
}

async function ask(
  environment: Environment,
  known: Pick<ClusterFacts, 'kubectl' | 'contexts' | 'current'>,
): Promise<Asked> {
  if (!known.kubectl || !known.contexts.includes(environment.context ?? known.current))
    return nothing
  const { version, apiError } = await askVersion(environment)
  if (!version) return { ...nothing, ...(apiError ? { apiError } : {}) }
  const { homes, ...foundation } = await buildFoundation(environment)
  const overlay = await overlayOf(environment)
  const [objects, deployments] = await Promise.all([
    listClusterObjects(environment),
    Promise.all(homes.map(home => seeDeployments(environment, home))),
  ])
  const deploys = listRequiredPermissions(overlay.overlay ?? [])
  const required = [...new Set([...deploys, ...restorePermissions])]
  return {
    version,
    ...objects,
    deployments: deployments.every(Boolean) ? deployments.flatMap(list => list ?? []) : undefined,
    ...foundation,
    ...overlay,
    unknownKinds: await findUnknownKinds(environment, overlay.overlay ?? []),
    oldPasswords: await findOldPasswords(overlay.overlay ?? [], createServerAccess(environment)),
    missingPermissions: await findMissingPermissions(environment, required, { nothrow: true }),
  }
}

/** The API server's version, or why it says none. */
async function askVersion(
  environment: Environment,
): Promise<Pick<ClusterFacts, 'version' | 'apiError'>> {
  const argv = ['version', '--output', 'json', '--request-timeout', '8s']
  const output = await kubectl(environment, argv, { nothrow: true, timeout: 12_000 })
  const said = output.stdout.trim()
    ? (JSON.parse(output.stdout) as { serverVersion?: NonNullable<ClusterFacts['version']> })
    : {}
  return said.serverVersion
    ? { version: said.serverVersion }
    : { apiError: readKubectlError({ ...output, stdout: '' }) }
}

/** What an administrator has applied once, and the namespaces in which it runs. */
async function buildFoundation(environment: Environment) {
  const own = `${environment.folder}/cluster`
  const clusterFolder = existsSync(join(root, own)) ? own : 'infra/k8s/cluster'
  const made = await buildKustomization(environment, clusterFolder)
  const deployments = made.filter(({ kind }) => kind === 'Deployment')
  const homes = [...new Set(deployments.map(({ metadata }) => metadata.namespace ?? ''))]
  // other environments' namespaces are not this one's concern
  const clusterManifests = made.filter(
    ({ kind, metadata }) =>
      kind !== 'Namespace' || [environment.namespace, ...homes].includes(metadata.name),
  )
  return { clusterFolder, clusterManifests, homes }
}

/** The kinds of the environment's objects that the cluster does not know; none when it does not say. */
async function findUnknownKinds(environment: Environment, all: Manifest[]): Promise<string[]> {
  const known = await discoverResources(environment, all).catch(() => undefined)
  const unknown = all.filter(one => known && !known.has(kindKeyOf(one)))
  return [...new Set(unknown.map(({ kind }) => kind))]
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
