// What every Kubernetes object has: its name, and of what makes pods, their specification. Pure.
import type { Manifest } from './kubectl.ts'

/** `Kind name`: what an object is called here. */
export const resourceId = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`

/** What a workload makes. */
export const podSpecOf = (one: Manifest): Record<string, any> => one.spec.template.spec
/** All containers of a workload's pods. */
export const containerSpecsOf = (one: Manifest): Record<string, any>[] => [
  ...(podSpecOf(one).initContainers ?? []),
  ...podSpecOf(one).containers,
]
