// What the doctor says of an environment's place in its cluster: what an administrator brings,
// secrets, network, rights. Pure.
import type { ClusterFacts, ObservedObjects } from './cluster.ts'
import { finding, type Finding } from '../finding.ts'
import { countReplicas } from '../../kubernetes/replicas.ts'
import { sealedSecretsVersion } from '../../kubernetes/kubeseal.ts'

const sealedSecrets = `https://github.com/bitnami-labs/sealed-secrets/releases/download/v${sealedSecretsVersion}/controller.yaml`
/** DaemonSets of networks that enforce NetworkPolicies. */
const enforcers =
  /^(calico-node|canal|cilium|kube-router|antrea-agent|weave-net|ovnkube-node|kube-ovn-cni|anetd|azure-npm|kindnet)$/

/** The command with the environment's context in it. */
export const kubectlCommand = ({ environment }: ClusterFacts, words: string) =>
  `kubectl ${environment.context ? `--context ${environment.context} ` : ''}${words}`
export const notVisible = (what: string) =>
  finding('cluster', 'info', `${what} cannot be read by this user`)

const names = (list: ObservedObjects) => new Set(list?.map(({ metadata }) => metadata.name))

/** What an administrator applies once: namespaces, priorities, the edge. */
export function judgePrerequisites(facts: ClusterFacts): Finding[] {
  const { clusterManifests, clusterFolder } = facts
  const next = kubectlCommand(facts, `apply -k ${clusterFolder}`)
  const of = (kind: string) => clusterManifests.filter(one => one.kind === kind)
  const missing = (kind: string, seen: ObservedObjects) => {
    const gone = of(kind)
      .map(({ metadata }) => metadata.name)
      .filter(name => !names(seen).has(name))
    if (!seen)
      return of(kind).length
        ? [
            notVisible(
              `${kind}: ${of(kind)
                .map(({ metadata }) => metadata.name)
                .join(', ')}`,
            ),
          ]
        : []
    return gone.length
      ? [finding('cluster', 'error', `${kind} missing: ${gone.join(', ')}`, next)]
      : []
  }
  const labels = of('Namespace').flatMap(({ metadata }) => {
    const here = facts.namespaces?.find(one => one.metadata.name === metadata.name)
    const wanted = Object.entries(metadata.labels ?? {}).filter(([key]) =>
      key.startsWith('pod-security.'),
    )
    const differ = wanted.filter(([key, value]) => here && here.metadata.labels?.[key] !== value)
    return differ.length
      ? [
          finding(
            'cluster',
            'error',
            `namespace ${metadata.name} lacks ${differ.map(pair => pair.join('=')).join(', ')}`,
            next,
          ),
        ]
      : []
  })
  const idle = of('Deployment').flatMap(({ metadata: { name, namespace = '' } }) => {
    const here = facts.deployments?.find(
      ({ metadata }) => metadata.name === name && metadata.namespace === namespace,
    )
    if (!here || countReplicas(here).ready) return []
    return [
      finding(
        'cluster',
        'error',
        `no pod of ${namespace}/${name} is ready`,
        kubectlCommand(facts, `describe pods -n ${namespace}`),
      ),
    ]
  })
  return [
    ...missing('Namespace', facts.namespaces),
    ...labels,
    ...missing('PriorityClass', facts.priorityClasses),
    ...missing('IngressClass', facts.ingressClasses),
    ...missing('Deployment', facts.deployments),
    ...idle,
  ]
}

/** Where the overlay has SealedSecrets: who opens them, and whether they are sealed. */
export function judgeSealing(facts: ClusterFacts): Finding[] {
  const { environment, overlay = [], crds, controllers } = facts
  const sealed = overlay.filter(({ kind }) => kind === 'SealedSecret')
  if (!sealed.length) return []
  const { namespace, name } = environment.sealedSecrets
  const open = sealed
    .flatMap(({ spec }) => Object.values(spec.encryptedData ?? {}))
    .filter(text => !text).length
  const install = kubectlCommand(facts, `apply -f ${sealedSecrets}`)
  const found = open
    ? [
        finding(
          'cluster',
          'warning',
          `${open} secrets of ${environment.name} are not sealed yet`,
          `npx zx scripts/seal.ts ${environment.name}`,
        ),
      ]
    : []
  if (!crds) found.push(notVisible('CustomResourceDefinitions'))
  else if (!crds.length)
    return [
      ...found,
      finding('cluster', 'error', 'Sealed Secrets is missing: no secret is unsealed', install),
    ]
  const controller = `the Sealed Secrets controller ${namespace}/${name}`
  if (!controllers) found.push(notVisible(controller))
  else if (!controllers.length)
    found.push(finding('cluster', 'error', `${controller} is not there`, install))
  else if (!controllers.some(one => countReplicas(one).ready))
    found.push(
      finding(
        'cluster',
        'error',
        `${controller} is not ready`,
        kubectlCommand(facts, `describe deployment ${name} -n ${namespace}`),
      ),
    )
  return found
}

/** Kinds that an add-on brings; Sealed Secrets are judged for themselves. */
export function judgeKinds({ environment, unknownKinds }: ClusterFacts): Finding[] {
  const unknown = unknownKinds.filter(kind => kind !== 'SealedSecret')
  if (!unknown.length) return []
  const words = `the cluster does not know ${unknown.join(', ')}, which ${environment.name} has`
  const next = 'infra/k8s/README.md, "What the cluster must have"'
  return [finding('cluster', 'error', words, next)]
}

export function judgePolicies({ daemonSets }: ClusterFacts): Finding[] {
  if (daemonSets?.some(({ metadata }) => enforcers.test(metadata.name))) return []
  return [
    finding(
      'cluster',
      'info',
      'no network plug-in that is known to enforce NetworkPolicies was found: ask the provider of the cluster',
    ),
  ]
}

export function judgePermissions({
  environment: { namespace },
  missingPermissions,
  clusterFolder,
}: ClusterFacts): Finding[] {
  if (!missingPermissions.length) return []
  const words = `in ${namespace} this user may not ${missingPermissions.slice(0, 6).join(', ')}${missingPermissions.length > 6 ? ` and ${missingPermissions.length - 6} more` : ''}`
  return [
    finding(
      'rights',
      'error',
      words,
      `kubectl create token deployer -n ${namespace}   (that account may; ${clusterFolder} creates it)`,
    ),
  ]
}

/** A rotation that has not come to its end. */
export const judgeOldPasswords = ({
  environment: { name },
  oldPasswords,
}: ClusterFacts): Finding[] =>
  oldPasswords.map(one =>
    finding(
      'cluster',
      'warning',
      `an older ${one} is let in, too: its rotation has not ended`,
      `npx zx scripts/deploy.ts ${name}`,
    ),
  )
