// A restored environment that is held back: what works off queues and schedules stays down, and no
// application has a way out of its namespace. The policies say so themselves.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { LabelSelector } from 'kubernetes-types/meta/v1.js'
import type { NetworkPolicyEgressRule } from 'kubernetes-types/networking/v1.js'
import { exit, Failure } from '../../errors.ts'
import { describeApiError, isApiSuccess } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingApi, type LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import { selectWorkloads, type Manifest } from '../../kubernetes/objects.ts'
import { listObjects, resourcePath } from '../../kubernetes/resources.ts'
import { egressAnnotation, heldEgressOf, isWayOutHeld } from '../../kubernetes/restored/held.ts'
import { dockerFolder } from '../../repository.ts'
import { isStoppedForRestore } from './scale.ts'

const policies = 'networking.k8s.io/v1/networkpolicies'

/** What works off queues and schedules, as on Compose: a service has one name on both. */
export function listHeldServices(): string[] {
  const { services } = parse(readFileSync(join(dockerFolder, 'held.yml'), 'utf8')) as {
    services: Record<string, { profiles?: string[] }>
  }
  return Object.keys(services).filter(name => services[name]?.profiles?.includes('live'))
}

/** Whether anything of an environment is held back, by its objects. */
export const isEnvironmentHeld = (all: Manifest[]): boolean =>
  isWayOutHeld(all) ||
  all.some(one => listHeldServices().includes(one.metadata.name) && isStoppedForRestore(one))

/**
 * What leads to the pods of the own namespace, and to the names of the cluster's DNS; all else is a way out:
 * addresses, other namespaces, a rule without a target.
 */
export const keepInside = (egress: NetworkPolicyEgressRule[]): NetworkPolicyEgressRule[] =>
  egress.flatMap(rule => {
    const { to = [], ports = [] } = rule
    if (ports.length && ports.every(({ port }) => port === 53)) return [rule]
    const inside = to.filter(({ ipBlock, namespaceSelector }) => !ipBlock && !namespaceSelector)
    return inside.length ? [{ ...rule, to: inside }] : []
  })

/** Whether a label selector means a pod of these labels. */
export function matchesLabels(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Record<string, string>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key]
      if (/Exist/.test(operator)) return (operator === 'Exists') === (value !== undefined)
      return (operator === 'In') === (value !== undefined && values.includes(value))
    })
  )
}

/** Changes a policy's way out, and what it remembers of it. */
async function changeEgress(
  environment: Environment,
  { metadata: { name } }: Manifest,
  egress: NetworkPolicyEgressRule[],
  before: string | null,
  lossFailure?: LockLossCheck,
): Promise<void> {
  const path = resourcePath(environment, policies, name)
  const answer = await createRetryingApi(lossFailure)(environment, path, {
    method: 'PATCH',
    contentType: 'application/merge-patch+json',
    body: { metadata: { annotations: { [egressAnnotation]: before } }, spec: { egress } },
  })
  if (!isApiSuccess(answer))
    throw new Failure(exit.broken, `Change the policy ${name}`, describeApiError(answer))
}

/** Whether a policy is about pods of the workloads of these names. */
function createPolicyFilter(all: Manifest[], names: string[]): (policy: Manifest) => boolean {
  const labels = selectWorkloads(all)
    .filter(({ metadata }) => names.includes(metadata.name))
    .map(({ spec }) => (spec.template.metadata?.labels ?? {}) as Record<string, string>)
  return ({ spec }) => labels.some(own => matchesLabels(spec.podSelector ?? {}, own))
}

/** Takes the way out of their namespace from the workloads of these names. Throws Failure (6). */
export async function holdBack(
  environment: Environment,
  all: Manifest[],
  names: string[],
  lossFailure?: LockLossCheck,
): Promise<void> {
  const isTheirs = createPolicyFilter(all, names)
  for (const one of await listObjects(environment, [policies])) {
    const egress = (one.spec.egress ?? []) as NetworkPolicyEgressRule[]
    const inside = keepInside(egress)
    if (!isTheirs(one) || JSON.stringify(inside) === JSON.stringify(egress)) continue
    const before = heldEgressOf(one) ?? JSON.stringify(egress)
    await changeEgress(environment, one, inside, before, lossFailure)
  }
}

/** Gives back to the workloads of these names every way out that a restore has taken. Throws Failure (6). */
export async function letOut(
  environment: Environment,
  all: Manifest[],
  names: string[],
  lossFailure?: LockLossCheck,
): Promise<void> {
  const isTheirs = createPolicyFilter(all, names)
  for (const one of await listObjects(environment, [policies])) {
    const before = heldEgressOf(one)
    if (before !== undefined && isTheirs(one))
      await changeEgress(environment, one, JSON.parse(before), null, lossFailure)
  }
}
