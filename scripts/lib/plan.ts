// What a deploy will do, found out without doing it: what is stamped on the manifests, in which order they go, what changes and what is removed. Pure.
import { createHash } from 'node:crypto'
import { workloads, type Manifest } from './cluster.ts'
import { parseImage } from './registry.ts'

/** The annotation kgc.hu/order, in the order of its values. */
export const orders = ['data', 'migrate', 'application', 'edge'] as const
export type Order = (typeof orders)[number]

const kinds = [
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
const never = ['PersistentVolumeClaim', 'Secret', 'SealedSecret', 'Namespace', 'CustomResourceDefinition']
/** How many objects may be removed without being asked for. */
export const seatBelt = 3
export const configStamp = 'kgc.hu/config'
export const jobStamp = 'kgc.hu/manifest'

/** `Kind name`: what an object is called here. */
export const title = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`
const titles = (all: Manifest[]) => new Set(all.map(title))

/** Objects without the annotation are data when they hold it, else part of an application. */
export function orderOf(one: Manifest): Order {
  const said = one.metadata.annotations?.['kgc.hu/order'] as Order | undefined
  if (said && orders.includes(said)) return said
  return ['ConfigMap', 'Secret', 'SealedSecret', 'PersistentVolumeClaim', 'NetworkPolicy'].includes(one.kind)
    ? 'data'
    : one.kind === 'Job'
      ? 'migrate'
      : 'application'
}

/** In the order in which they are applied: by kgc.hu/order, and inside by kind. */
export function arranged(all: Manifest[]): Manifest[] {
  const rank = (one: Manifest) => orders.indexOf(orderOf(one)) * 100 + (kinds.includes(one.kind) ? kinds.indexOf(one.kind) : kinds.length)
  return all.toSorted((a, b) => rank(a) - rank(b))
}

const hash = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
const podOf = (one: Manifest): Record<string, any> => one.spec.template.spec
const containersOf = (one: Manifest): Record<string, any>[] => [...(podOf(one).initContainers ?? []), ...podOf(one).containers]

/** The images of all workloads, each once. */
export const imagesOf = (all: Manifest[]): string[] => [
  ...new Set(
    workloads(all)
      .flatMap(containersOf)
      .map(({ image }) => image as string),
  ),
]

/** The names of ConfigMaps and Secrets that a workload's pods read, as `kind/name`. */
export function readBy(workload: Manifest): string[] {
  const found = new Set<string>()
  const map = (name?: string) => name && found.add(`ConfigMap/${name}`)
  const secret = (name?: string) => name && found.add(`Secret/${name}`)
  for (const { envFrom = [], env = [] } of containersOf(workload)) {
    for (const { configMapRef, secretRef } of envFrom) (map(configMapRef?.name), secret(secretRef?.name))
    for (const { valueFrom } of env) (map(valueFrom?.configMapKeyRef?.name), secret(valueFrom?.secretKeyRef?.name))
  }
  for (const volume of podOf(workload).volumes ?? [])
    for (const one of [volume, ...(volume.projected?.sources ?? [])]) (map(one.configMap?.name), secret(one.secret?.secretName ?? one.secret?.name))
  return [...found].sort()
}

/** The manifests with other images in the place of some. */
export function withImages(all: Manifest[], image: (old: string) => string): Manifest[] {
  const copy = structuredClone(all)
  for (const container of workloads(copy).flatMap(containersOf)) container.image = image(container.image)
  return copy
}

/** Another tag for the images of these names, whatever they have now. */
export function withTag(all: Manifest[], names: string[], tag: string): Manifest[] {
  return withImages(all, old => (names.includes(parseImage(old).name) ? `${parseImage(old).name}:${tag}` : old))
}

/**
 * The manifests as they are applied: images by digest, on each pod template a hash of the settings and secrets that its pods read (so that
 * they start anew when one changes), on each Job a hash of itself (so that it is known whether it has run).
 */
export function stamped(all: Manifest[], digests: Map<string, string>): Manifest[] {
  const copy = withImages(all, old => {
    const { name, tag, digest } = parseImage(old)
    return `${name}${tag ? `:${tag}` : ''}@${digest ?? digests.get(old)}`
  })
  const settings = new Map<string, unknown>()
  for (const { kind, metadata, data, stringData, binaryData, spec } of copy)
    if (['ConfigMap', 'Secret', 'SealedSecret'].includes(kind))
      settings.set(`${kind.replace('Sealed', '')}/${metadata.name}`, [data, stringData, binaryData, spec?.encryptedData])
  for (const one of workloads(copy)) {
    const read = readBy(one).map(name => [name, settings.get(name)])
    const { template } = one.spec
    template.metadata = { ...template.metadata, annotations: { ...template.metadata?.annotations, [configStamp]: hash(read) } }
    if (one.kind === 'Job') one.metadata.annotations = { ...one.metadata.annotations, [jobStamp]: hash(one.spec) }
  }
  return copy
}

/** What of the manifests cannot work, whatever the cluster says. */
export function faults(all: Manifest[]): string[] {
  const pods = workloads(all).map(({ spec }) => (spec.template.metadata?.labels ?? {}) as Record<string, string>)
  const selects = (selector: Record<string, string>) => pods.some(labels => Object.entries(selector).every(([key, value]) => labels[key] === value))
  const blind = all
    .filter(({ kind, spec }) => kind === 'Service' && spec.selector && !selects(spec.selector))
    .map(one => `${title(one)} selects no pod of this environment: ${JSON.stringify(one.spec.selector)}`)
  const wide = all
    .filter(({ kind }) => /^(Namespace|CustomResourceDefinition|PriorityClass|Cluster\w+)$/.test(kind))
    .map(one => `${title(one)} is not an environment's own: it belongs in infra/k8s/cluster, for an administrator`)
  const said = all
    .filter(({ metadata }) => metadata.annotations?.['kgc.hu/order'] && !orders.includes(metadata.annotations['kgc.hu/order'] as Order))
    .map(one => `${title(one)}: kgc.hu/order is none of ${orders.join(', ')}`)
  return [...blind, ...wide, ...said]
}

/** Keys that pods need and that nothing gives them. `live` are the Secrets that are in the cluster: their names, with the keys that are not empty. */
export function missingKeys(all: Manifest[], live: Map<string, string[]>): string[] {
  const given = new Map(live)
  for (const { kind, metadata, data, stringData, spec } of all)
    if (kind === 'Secret' || kind === 'SealedSecret')
      given.set(
        metadata.name,
        Object.entries({ ...data, ...stringData, ...spec?.encryptedData })
          .filter(([, value]) => value)
          .map(([key]) => key),
      )
  const missing = new Set<string>()
  for (const { envFrom = [], env = [] } of workloads(all).flatMap(containersOf)) {
    for (const { secretRef } of envFrom)
      if (secretRef && !secretRef.optional && !given.has(secretRef.name)) missing.add(`the Secret ${secretRef.name} is not there`)
    for (const { valueFrom } of env) {
      const { name, key, optional } = valueFrom?.secretKeyRef ?? {}
      if (name && !optional && !given.get(name)?.includes(key)) missing.add(`${key} of ${name} is missing or empty`)
    }
  }
  return [...missing]
}

export interface Changes {
  created: string[]
  changed: string[]
}

/** What `kubectl diff` says, object by object. */
export function readDiff(text: string, all: Manifest[]): Changes {
  const changes: Changes = { created: [], changed: [] }
  for (const part of text.split(/^diff /m).slice(1)) {
    const file = /^\+\+\+ \S+\/([^/\s]+)/m.exec(part)?.[1] ?? ''
    const one = all.find(({ apiVersion, kind, metadata }) => {
      const [version, group] = (apiVersion as string).split('/').reverse()
      return file === `${group ? `${group}.` : ''}${version}.${kind}.${metadata.namespace ?? ''}.${metadata.name}`
    })
    // what is there has more than one line; a Secret that is not is shown as an empty one
    if (one) changes[/^@@ -(0,0|1) /m.test(part) ? 'created' : 'changed'].push(title(one))
  }
  return changes
}

/** Whether kustomize made it, with a hash of its contents at the end of its name. */
const isGenerated = ({ kind, metadata }: Manifest) => kind === 'ConfigMap' && /-[2456789bcdfghkmt]{10}$/.test(metadata.name)

/**
 * What was there before and is not any more. `before` are the manifests of the releases, the newest first, down to the last good one;
 * `older` those of all others; `holders` what may still start a pod (ReplicaSets, ControllerRevisions, Jobs): a generated ConfigMap that one of
 * them names stays.
 */
export function removals(all: Manifest[], before: Manifest[][], older: Manifest[][], holders: object[]): { removed: Manifest[]; generated: Manifest[] } {
  const now = titles(all)
  const gone = (lists: Manifest[][]) => [
    ...new Map(
      lists
        .flat()
        .filter(one => !now.has(title(one)) && !never.includes(one.kind))
        .map(one => [title(one), one]),
    ).values(),
  ]
  const held = JSON.stringify(holders)
  return {
    removed: gone(before).filter(one => !isGenerated(one)),
    generated: gone([...before, ...older]).filter(
      one => isGenerated(one) && !held.includes(`"${one.metadata.name}"`) && !held.includes(`\\"${one.metadata.name}\\"`),
    ),
  }
}

/** In words that lead on: what the cluster said of a change that it will not take. */
export function explain(line: string): string {
  const name = /(?:The|Error from server[^:]*:) (\w+)(?:\.\S+)? "([^"]+)"/.exec(line)
  const what = name ? `${name[1]} ${name[2]}: ` : ''
  if (/statefulset spec for fields other than/i.test(line))
    return (
      `${what}volumeClaimTemplates, selector and serviceName of a StatefulSet cannot be changed; put them back, or ` +
      `\`kubectl delete statefulset ${name?.[2] ?? 'NAME'} --cascade=orphan\` first: its pods and volumes stay`
    )
  if (/field is immutable/.test(line))
    return (
      `${what}a field that cannot be changed has changed (${/(spec\.[\w.[\]]+)/.exec(line)?.[1] ?? 'spec'}); put it back, or ` +
      `give the object another name: the old one is removed after the new one serves`
    )
  const space = /namespaces "([^"]+)" not found/.exec(line)?.[1]
  if (space) return `the namespace ${space} is not there; an administrator makes it: kubectl apply -k infra/k8s/cluster`
  const kind = /no matches for kind "([^"]+)" in version "([^"]+)"/.exec(line)
  if (kind) return `the cluster does not know ${kind[1]} (${kind[2]}): its CRD is not installed; infra/k8s/README.md, "What the cluster must have"`
  return line.replace(/^error: |^Error from server (\(\w+\): )?/, '').replace(/^(\w+)\.[\w.]+ "([^"]+)" is /, '$1 $2 is ')
}
