// What keeps a drill from reaching anything but itself. Pure.
import type { NetworkPolicyEgressRule } from 'kubernetes-types/networking/v1.js'
import type { Manifest } from '../../../kubernetes/objects.ts'
import { matchesLabels } from '../held.ts'
import { backupLabel } from '../job.ts'
import { createDrillObject, drillLabel, drillLabelsOf, type DrillOwner } from './objects.ts'

const drillPods = {
  podSelector: { matchExpressions: [{ key: drillLabel, operator: 'Exists' }] },
}

/** The drill's pods talk to each other, what restores talks to them, and that is all. */
export function createDrillPolicies(of: DrillOwner): Manifest[] {
  const restorers = { podSelector: { matchLabels: { [backupLabel]: 'yes' } } }
  const policy = (name: string): Manifest => ({
    apiVersion: 'networking.k8s.io/v1',
    ...{ kind: 'NetworkPolicy', metadata: { name } },
  })
  return [
    createDrillObject(of, policy('inside'), {
      ...drillPods,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [drillPods, restorers] }],
      egress: [{ to: [drillPods] }],
    }),
    createDrillObject(of, policy('restore'), {
      ...restorers,
      policyTypes: ['Egress'],
      egress: [{ to: [drillPods] }],
    }),
  ]
}

/**
 * The policies that would let pods of a drill out: those of all pods but for the names of the DNS, and those
 * that a killed drill has left, which go before the next begins.
 */
export const findWaysOut = (all: Manifest[], folder: string, workloads: Manifest[]): string[] =>
  all
    .filter(({ kind, metadata }) => kind === 'NetworkPolicy' && !metadata.labels?.[drillLabel])
    .filter(({ spec }) =>
      ((spec.egress ?? []) as NetworkPolicyEgressRule[]).some(
        ({ ports = [] }) => !ports.length || ports.some(({ port }) => port !== 53),
      ),
    )
    .filter(({ spec }) =>
      workloads.some(({ metadata }) =>
        matchesLabels(spec.podSelector ?? {}, drillLabelsOf(folder, metadata.name)),
      ),
    )
    .map(({ metadata }) => metadata.name)
