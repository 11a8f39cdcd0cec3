// An application of an environment once more beside itself: other names, claims of its own, no way to
// anything else. It finds its own services by the names that its settings have. Pure.
import type { HostAlias, PodSpec, ServicePort, Volume } from 'kubernetes-types/core/v1.js'
import type { OwnerReference } from 'kubernetes-types/meta/v1.js'
import { applyOrderOf } from '../../../deploy/apply/order.ts'
import { podSpecOf, type Manifest } from '../../../kubernetes/objects.ts'
import type { PlannedApplication } from '../../plan.ts'
import { listHeldServices, matchesLabels } from '../held.ts'

/** Its value is the application. No live object has it. */
export const drillLabel = 'kgc.hu/drill'
const nameLabel = 'app.kubernetes.io/name'
/** What an object is called in a drill. */
export const drillName = (name: string): string => `drill-${name}`

/** Whose the objects are: they go with their owner. */
export interface DrillOwner {
  folder: string
  owner: OwnerReference
}

/** What the pods of a workload are called in a drill: no policy or Service of the stack means them. */
export const drillLabelsOf = (folder: string, workload: string): Record<string, string> => ({
  [drillLabel]: folder,
  [nameLabel]: drillName(workload),
})

/** An object of a drill after one of the stack. */
export const createDrillObject = (
  { folder, owner }: DrillOwner,
  { apiVersion, kind, metadata }: Manifest,
  spec: object,
): Manifest => ({
  ...{ apiVersion, kind, spec },
  metadata: {
    name: drillName(metadata.name),
    labels: { [drillLabel]: folder },
    ownerReferences: [owner],
  },
})

/** What of an application starts in a drill: not what works off queues, and not what measures it. */
export const selectDrilled = (all: Manifest[], { services }: PlannedApplication): Manifest[] =>
  all
    .filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind))
    .filter(({ metadata: { name } }) => services.includes(name))
    .filter(({ metadata: { name } }) => !listHeldServices().includes(name))
    .filter(({ spec }) => !spec.template.metadata?.labels?.['kgc.hu/exporter'])

/** Whether a workload keeps the data that the others start on. */
export const isDataServer = (one: Manifest): boolean => applyOrderOf(one) === 'data'

/** The claim that each volume of a workload's pod is, by the volume's name. */
function claimsOf({ kind, metadata, spec }: Manifest): Map<string, string> {
  const templates = kind === 'StatefulSet' ? ((spec.volumeClaimTemplates ?? []) as Manifest[]) : []
  const pod = spec.template.spec as PodSpec
  return new Map([
    ...templates.map((one): [string, string] => [
      one.metadata.name,
      `${one.metadata.name}-${metadata.name}-0`,
    ]),
    ...(pod.volumes ?? []).flatMap(({ name, persistentVolumeClaim }): [string, string][] =>
      persistentVolumeClaim ? [[name, persistentVolumeClaim.claimName]] : [],
    ),
  ])
}

/** The names of the claims of these workloads, each once. */
export const listClaimNames = (workloads: Manifest[]): string[] => [
  ...new Set(workloads.flatMap(one => [...claimsOf(one).values()])),
]

/** A claim like one that is there, and as large. */
export const createDrillClaim = (of: DrillOwner, claim: Manifest): Manifest => {
  const { accessModes, resources, storageClassName, volumeMode } = claim.spec
  return createDrillObject(of, claim, { accessModes, resources, storageClassName, volumeMode })
}

/** The Services that lead to these workloads, with addresses of their own. */
export function createDrillServices(
  of: DrillOwner,
  all: Manifest[],
  workloads: Manifest[],
): { name: string; service: Manifest }[] {
  return all
    .filter(({ kind, spec }) => kind === 'Service' && spec.selector)
    .flatMap(one => {
      const { selector: matchLabels, ports } = one.spec
      const target = workloads.find(({ spec }) =>
        matchesLabels({ matchLabels }, spec.template.metadata?.labels ?? {}),
      )
      if (!target) return []
      const selector = drillLabelsOf(of.folder, target.metadata.name)
      const own = (ports as ServicePort[]).map(({ nodePort: _, ...port }) => port)
      return [
        { name: one.metadata.name, service: createDrillObject(of, one, { selector, ports: own }) },
      ]
    })
}

/** What the names of Services are in the drill's pods. In: their addresses there. */
export const createHostAliases = (
  namespace: string,
  addresses: { name: string; ip: string }[],
): HostAlias[] =>
  addresses.map(({ name, ip }) => ({
    ip,
    hostnames: ['', `.${namespace}`, `.${namespace}.svc`, `.${namespace}.svc.cluster.local`].map(
      end => `${name}${end}`,
    ),
  }))

interface PodSurroundings {
  hostAliases: HostAlias[]
  /** Where the claims are that an earlier pod has used first. */
  node?: string | undefined
}

/** A workload, or a Job, with one pod. It displaces no pod of the stack, and ends at once. */
export function createDrillWorkload(
  of: DrillOwner,
  workload: Manifest,
  { hostAliases, node }: PodSurroundings,
): Manifest {
  const { spec } = workload
  const labels = drillLabelsOf(of.folder, workload.metadata.name)
  const { priorityClassName: _, topologySpreadConstraints: __, ...pod } = podSpecOf(workload)
  const terms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }]
  const pinned = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } }
  const nodeAffinity = node ? pinned : pod.affinity?.nodeAffinity
  const template = {
    metadata: { labels, annotations: spec.template.metadata?.annotations },
    spec: {
      ...pod,
      hostAliases: [...(pod.hostAliases ?? []), ...hostAliases],
      affinity: nodeAffinity && { nodeAffinity },
      terminationGracePeriodSeconds: 5,
      volumes: createVolumes(workload),
    },
  }
  if (workload.kind === 'Job') {
    const { backoffLimit, podFailurePolicy, activeDeadlineSeconds } = spec
    return createDrillObject(of, workload, {
      backoffLimit,
      podFailurePolicy,
      activeDeadlineSeconds,
      template,
    })
  }
  const { minReadySeconds, progressDeadlineSeconds, serviceName } = spec
  const more =
    workload.kind === 'StatefulSet'
      ? { serviceName: drillName(serviceName as string) }
      : { progressDeadlineSeconds, strategy: { type: 'Recreate' } }
  const common = { replicas: 1, minReadySeconds, selector: { matchLabels: labels }, template }
  return createDrillObject(of, workload, { ...common, ...more })
}

function createVolumes(workload: Manifest): Volume[] {
  const others = (podSpecOf(workload).volumes ?? []).filter(one => !one.persistentVolumeClaim)
  const claims = [...claimsOf(workload)].map(([name, claim]) => ({
    name,
    persistentVolumeClaim: { claimName: drillName(claim) },
  }))
  return [...others, ...claims]
}

/** What a backup has of an application, as it is called in a drill; nothing there is to be stopped or emptied. */
export const planDrill = ({
  databases,
  files,
  ...rest
}: PlannedApplication): PlannedApplication => ({
  ...rest,
  services: [],
  leftOut: [],
  databases: databases.map(one => ({
    ...one,
    service: drillName(one.service),
    volume: drillName(one.volume),
  })),
  files: files.map(one => ({ ...one, name: drillName(one.name) })),
})
