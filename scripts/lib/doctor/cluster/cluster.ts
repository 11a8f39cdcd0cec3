// What the doctor says of a cluster and of an environment's place in it. Pure: facts.ts does
// the asking.
import { findCondition, type Deployment, type Manifest } from '../../kubernetes/objects.ts'
import { judgeEnvironmentBackups } from '../monitoring.ts'
import { finding, type Finding } from '../finding.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { minimumKubernetesVersion } from '../../kubernetes/versions.ts'
import { isVersionAtLeast } from '../../version.ts'
import {
  judgeKinds,
  judgeOldPasswords,
  judgePrerequisites,
  judgePolicies,
  judgePermissions,
  judgeSealing,
  kubectlCommand,
  notVisible,
} from './namespace.ts'

const metricsServer =
  'https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.9.0/components.yaml'
const localPath =
  'https://raw.githubusercontent.com/rancher/local-path-provisioner/v0.0.30/deploy/local-path-storage.yaml'

/** A list as the cluster gave it; undefined when it may not be looked at. */
export type ObservedObjects = Manifest[] | undefined

export interface ClusterFacts {
  environment: Pick<Environment, 'name' | 'namespace' | 'context' | 'sealedSecrets' | 'disposable'>
  /** Whether kubectl is on the PATH. */
  kubectl: boolean
  contexts: string[]
  current: string
  /** Why the API server does not answer. */
  apiError?: string
  version?: { gitVersion: string }
  nodes: ObservedObjects
  namespaces: ObservedObjects
  storageClasses: ObservedObjects
  ingressClasses: ObservedObjects
  priorityClasses: ObservedObjects
  apiServices: ObservedObjects
  /** The SealedSecret CRD, and its controller's Deployment. */
  crds: ObservedObjects
  controllers: Deployment[] | undefined
  daemonSets: ObservedObjects
  /** What is said of the environment's backups. */
  backupMetrics: ObservedObjects
  deployments: Deployment[] | undefined
  /** The folder that an administrator applies once, and what it makes for this environment. */
  clusterFolder: string
  clusterManifests: Manifest[]
  /** The environment's own manifests; undefined when they cannot be built, `buildError` says why. */
  overlay: ObservedObjects
  buildError?: { why: string; next: string }
  /** Kinds of the environment's objects that the cluster does not know. */
  unknownKinds: string[]
  /** Passwords of which servers let in an older one, too. */
  oldPasswords: string[]
  /** What the current user may not do, of what a deploy does. */
  missingPermissions: string[]
}

/** Everything that is to be said. */
export function judgeCluster(facts: ClusterFacts): Finding[] {
  const access = judgeAccess(facts)
  if (!facts.version) return access
  const { buildError } = facts
  return [
    ...access,
    ...judgeStorage(facts),
    ...judgeMetrics(facts),
    ...judgePrerequisites(facts),
    ...(buildError
      ? [finding('cluster', 'error', buildError.why, buildError.next)]
      : [...judgeSealing(facts), ...judgeKinds(facts)]),
    ...judgePolicies(facts),
    ...judgePermissions(facts),
    ...judgeOldPasswords(facts),
    ...judgeEnvironmentBackups(facts),
  ]
}

export function judgeAccess(facts: ClusterFacts): Finding[] {
  const { environment, contexts, current, version, apiError, nodes } = facts
  const say = (what: string, next: string) => [finding('cluster', 'error', what, next)]
  if (!facts.kubectl)
    return say('kubectl is not on the PATH', 'https://kubernetes.io/docs/tasks/tools/#kubectl')
  if (environment.context && !contexts.includes(environment.context))
    return say(
      `the kubeconfig has no context ${environment.context}, which ${environment.name} uses`,
      `kubectl config get-contexts   (then rename-context, or another name in infra/k8s/overlays/${environment.name}/environment.yaml)`,
    )
  if (!environment.context && !current)
    return say(
      'the kubeconfig has no current context',
      'kubectl config get-contexts   (then use-context)',
    )
  if (!version)
    return say(
      `the API server does not answer: ${apiError ?? 'no answer'}`,
      kubectlCommand(facts, 'cluster-info'),
    )
  if (!isVersionAtLeast(version.gitVersion, minimumKubernetesVersion))
    return say(
      `Kubernetes ${version.gitVersion} is older than ${minimumKubernetesVersion}`,
      'https://kubernetes.io/docs/tasks/administer-cluster/cluster-upgrade/',
    )
  const count = nodes ? `, ${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}` : ''
  return [
    finding(
      'cluster',
      'info',
      `Kubernetes ${version.gitVersion}${count}, context ${environment.context ?? current}`,
    ),
  ]
}

export function judgeStorage(facts: ClusterFacts): Finding[] {
  const { storageClasses } = facts
  if (!storageClasses) return [notVisible('StorageClasses')]
  const isDefault = ({ metadata }: Manifest) =>
    metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true'
  const all = storageClasses.map(({ metadata }) => metadata.name)
  const chosen = storageClasses.filter(isDefault).map(({ metadata }) => metadata.name)
  const mark = (name: string, yes: boolean) =>
    kubectlCommand(
      facts,
      `annotate storageclass ${name} --overwrite storageclass.kubernetes.io/is-default-class=${yes}`,
    )
  const say = (severity: Finding['severity'], what: string, next: string) => [
    finding('cluster', severity, what, next),
  ]
  const provisioner = kubectlCommand(
    facts,
    `apply -f ${localPath}   (on one node; else the provider's)`,
  )
  if (!all.length)
    return say('error', 'there is no StorageClass: no volume can be created', provisioner)
  if (!chosen.length)
    return say('error', `no StorageClass is the default (${all.join(', ')})`, mark(all[0]!, true))
  return chosen.length > 1
    ? say(
        'warning',
        `${chosen.length} StorageClasses are the default: ${chosen.join(', ')}`,
        mark(chosen[1]!, false),
      )
    : []
}

export function judgeMetrics(facts: ClusterFacts): Finding[] {
  if (!facts.apiServices) return [notVisible('API services')]
  const metrics = facts.apiServices.find(({ spec }) => spec.group === 'metrics.k8s.io')
  if (!metrics)
    return [
      finding(
        'cluster',
        'warning',
        'metrics-server is missing: nothing is scaled',
        kubectlCommand(facts, `apply -f ${metricsServer}`),
      ),
    ]
  const state = findCondition(metrics, 'Available')
  if (state?.status === 'True') return []
  const next = kubectlCommand(facts, `describe apiservice ${metrics.metadata.name}`)
  return [
    finding(
      'cluster',
      'warning',
      `metrics.k8s.io does not answer: ${state?.message ?? 'no state'}`,
      next,
    ),
  ]
}
