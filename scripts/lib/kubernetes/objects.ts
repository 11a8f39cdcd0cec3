// Kubernetes objects as the API server returns them, and how they are read. Pure.
import type {
  DaemonSet as V1DaemonSet,
  Deployment as V1Deployment,
  ReplicaSet as V1ReplicaSet,
  StatefulSet as V1StatefulSet,
} from 'kubernetes-types/apps/v1.js'
import type { Job as V1Job } from 'kubernetes-types/batch/v1.js'
import type { Lease as V1Lease } from 'kubernetes-types/coordination/v1.js'
import type {
  Container,
  ContainerStatus,
  Event as V1Event,
  Pod as V1Pod,
  PodSpec,
} from 'kubernetes-types/core/v1.js'
import type { ObjectMeta } from 'kubernetes-types/meta/v1.js'

/** What every object has; a name it has, too. */
export type ObjectMetadata = ObjectMeta & { name: string }

/** An object as a manifest or as the cluster has it. */
export type Manifest = Record<string, any> & { kind: string; metadata: ObjectMetadata }

/** An object of one kind that the API server has returned: specification and status are there. */
interface ApiObject<Kind extends string, Type extends { spec?: unknown; status?: unknown }> {
  apiVersion?: string
  kind: Kind
  metadata: ObjectMetadata
  spec: NonNullable<Type['spec']>
  status: NonNullable<Type['status']>
}
export type Pod = ApiObject<'Pod', V1Pod>
export type Job = ApiObject<'Job', V1Job>
export type Deployment = ApiObject<'Deployment', V1Deployment>
export type StatefulSet = ApiObject<'StatefulSet', V1StatefulSet>
export type DaemonSet = ApiObject<'DaemonSet', V1DaemonSet>
export type ReplicaSet = ApiObject<'ReplicaSet', V1ReplicaSet>
/** What keeps a number of pods. */
export type Workload = Deployment | StatefulSet | DaemonSet
export type ClusterEvent = V1Event & { kind: 'Event' }
export type Lease = Omit<ApiObject<'Lease', V1Lease & { status?: unknown }>, 'status'>

interface ApiObjects {
  Pod: Pod
  Job: Job
  Deployment: Deployment
  StatefulSet: StatefulSet
  DaemonSet: DaemonSet
  ReplicaSet: ReplicaSet
  Event: ClusterEvent
}

/** Those of these kinds among objects that the API server has returned. */
export const selectKinds = <Kind extends keyof ApiObjects>(
  all: Manifest[],
  ...kinds: Kind[]
): ApiObjects[Kind][] =>
  all.filter(({ kind }) => (kinds as string[]).includes(kind)) as unknown as ApiObjects[Kind][]

interface Named {
  kind: string
  metadata: ObjectMetadata
}

/** `Kind name`: what an object is called here. */
export const resourceId = ({ kind, metadata }: Named): string => `${kind} ${metadata.name}`

/** What a workload makes. */
export const podSpecOf = (one: Manifest): PodSpec => one.spec.template.spec
/** All containers of a workload's pods. */
export const containerSpecsOf = (one: Manifest): (Container & { image: string })[] =>
  [...(podSpecOf(one).initContainers ?? []), ...podSpecOf(one).containers] as (Container & {
    image: string
  })[]

/** The names of the ConfigMap or Secret that each volume of a workload's pods is filled from. */
export const listVolumeSources = (
  one: Manifest,
): { configMap?: string | undefined; secret?: string | undefined }[] =>
  (podSpecOf(one).volumes ?? []).flatMap(({ configMap, secret, projected }) => [
    { configMap: configMap?.name, secret: secret?.secretName },
    ...(projected?.sources ?? []).map(source => ({
      configMap: source.configMap?.name,
      secret: source.secret?.name,
    })),
  ])

/** ms of a timestamp; the beginning of time where there is none. */
export const timestampMs = (time: string | undefined): number => (time ? Date.parse(time) : 0)

interface Condition {
  type: string
  status: string
  reason?: string
  message?: string
  lastTransitionTime?: string
  lastUpdateTime?: string
}
interface WithConditions {
  metadata: ObjectMetadata
  status?: { conditions?: Condition[] }
}

/** What an object's status says of a condition. */
export const findCondition = ({ status }: WithConditions, type: string): Condition | undefined =>
  status?.conditions?.find(one => one.type === type)
/** Whether a condition of an object is True. */
export const hasCondition = (object: WithConditions, type: string): boolean =>
  findCondition(object, type)?.status === 'True'

/** Whether the controller of an object knows its last change. */
export const isChangeObserved = ({
  metadata,
  status,
}: {
  metadata: ObjectMetadata
  status?: { observedGeneration?: number }
}): boolean => (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0)

/** Whether an object was made by another, or for it. */
export const isOwnerOf = (
  { metadata: { uid } }: { metadata: ObjectMetadata },
  { metadata }: { metadata: ObjectMetadata },
): boolean => (metadata.ownerReferences ?? []).some(one => one.uid === uid)

/** A container's specification and status. */
export interface PodContainer {
  /** It runs before the others, and ends. */
  init: boolean
  spec: Partial<Container>
  status: ContainerStatus
}

/** The containers of a pod, as far as they have a status; init containers first, they run first. */
export function listPodContainers({ spec, status }: Pod): PodContainer[] {
  const pair = (specs: Container[] = [], statuses: ContainerStatus[] = [], init: boolean) =>
    statuses.map(one => {
      const found: Partial<Container> = specs.find(({ name }) => name === one.name) ?? {}
      return { init: init && found.restartPolicy !== 'Always', spec: found, status: one }
    })
  return [
    ...pair(spec.initContainers, status.initContainerStatuses, true),
    ...pair(spec.containers, status.containerStatuses, false),
  ]
}

/** Whether a pod is ready and not on its way out. */
export const isPodReady = (pod: Pod): boolean =>
  !pod.metadata.deletionTimestamp && hasCondition(pod, 'Ready')

/** Where the kinds that make pods are found. */
const resourceByKind: Record<string, string> = {
  Deployment: 'apps/v1/deployments',
  StatefulSet: 'apps/v1/statefulsets',
  DaemonSet: 'apps/v1/daemonsets',
  Job: 'batch/v1/jobs',
}
/** The resources of these kinds, each once. */
export const workloadResourcesOf = (kinds: string[]): string[] =>
  [...new Set(kinds)].flatMap(kind => resourceByKind[kind] ?? [])

/** What makes pods. */
export const selectWorkloads = (all: Manifest[]): Manifest[] =>
  all.filter(({ kind }) => ['Deployment', 'StatefulSet', 'DaemonSet', 'Job'].includes(kind))
