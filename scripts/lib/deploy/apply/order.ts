// What the manifests alone determine: the order of the apply, the differences between two lists,
// and what is removed. Pure.
import { resourceId, type Manifest } from '../../kubernetes/objects.ts'

/** The annotation kgc.hu/order, in the order of its values. */
export const applyOrders = ['data', 'migrate', 'application', 'edge'] as const
export type ApplyOrder = (typeof applyOrders)[number]

const kindOrder = [
  'ConfigMap',
  'Secret',
  'SealedSecret',
  'PersistentVolumeClaim',
  'NetworkPolicy',
  'Service',
  'StatefulSet',
  'Deployment',
  'DaemonSet',
  'Job',
  'HorizontalPodAutoscaler',
  'PodDisruptionBudget',
  'Ingress',
]
/** What is never removed: it holds data, or more than this environment. */
const neverPrunedKinds = [
  'PersistentVolumeClaim',
  'Secret',
  'SealedSecret',
  'Namespace',
  'CustomResourceDefinition',
]
/** How many objects may be removed without being asked for. */
export const pruneLimit = 3

const resourceIds = (all: Manifest[]) => new Set(all.map(resourceId))

const dataKinds = ['ConfigMap', 'Secret', 'SealedSecret', 'PersistentVolumeClaim', 'NetworkPolicy']

/** Objects without the annotation are data when they hold it, else part of an application. */
export function applyOrderOf(one: Manifest): ApplyOrder {
  const said = one.metadata.annotations?.['kgc.hu/order'] as ApplyOrder | undefined
  if (said && applyOrders.includes(said)) return said
  if (dataKinds.includes(one.kind)) return 'data'
  return one.kind === 'Job' ? 'migrate' : 'application'
}

/** In the order in which they are applied: by kgc.hu/order, and inside by kind. */
export function sortForApply(all: Manifest[]): Manifest[] {
  const rank = (one: Manifest) =>
    applyOrders.indexOf(applyOrderOf(one)) * 100 +
    (kindOrder.includes(one.kind) ? kindOrder.indexOf(one.kind) : kindOrder.length)
  return all.toSorted((a, b) => rank(a) - rank(b))
}

export interface ManifestChanges {
  created: string[]
  changed: string[]
}

/** Whether kustomize made it, with a hash of its contents at the end of its name. */
const isGeneratedConfigMap = ({ kind, metadata }: Manifest) =>
  kind === 'ConfigMap' && /-[2456789bcdfghkmt]{10}$/.test(metadata.name)

/**
 * What was there before and is not any more. `before` are the manifests of the releases, the newest
 * first, down to the last good one; `older` those of all others; `holders` what may still start a
 * pod (ReplicaSets, ControllerRevisions, Jobs): a generated ConfigMap that one of them names stays.
 */
export function findOrphans(
  all: Manifest[],
  before: Manifest[][],
  older: Manifest[][],
  holders: object[],
): { removed: Manifest[]; generated: Manifest[] } {
  const now = resourceIds(all)
  const gone = (lists: Manifest[][]) => [
    ...new Map(
      lists
        .flat()
        .filter(one => !now.has(resourceId(one)) && !neverPrunedKinds.includes(one.kind))
        .map(one => [resourceId(one), one]),
    ).values(),
  ]
  const held = JSON.stringify(holders)
  return {
    removed: gone(before).filter(one => !isGeneratedConfigMap(one)),
    generated: gone([...before, ...older]).filter(
      one =>
        isGeneratedConfigMap(one) &&
        !held.includes(`"${one.metadata.name}"`) &&
        !held.includes(`\\"${one.metadata.name}\\"`),
    ),
  }
}
