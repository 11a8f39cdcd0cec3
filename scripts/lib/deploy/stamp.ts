// What a deploy writes on the manifests: images by digest, hashes of what pods read. Pure.
import { createHash } from 'node:crypto'
import { workloads, type Manifest } from '../cluster/cluster.ts'
import { parseImage } from '../images/registry.ts'

export const configStamp = 'kgc.hu/config'
export const jobStamp = 'kgc.hu/manifest'

const hash = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
/** What a workload makes. */
export const podOf = (one: Manifest): Record<string, any> => one.spec.template.spec
/** All containers of a workload's pods. */
export const containersOf = (one: Manifest): Record<string, any>[] => [
  ...(podOf(one).initContainers ?? []),
  ...podOf(one).containers,
]

type Condition = { type: string; status: string }
const has = ({ status }: Manifest, ...types: string[]): boolean =>
  (status?.conditions ?? []).some(
    (one: Condition) => types.includes(one.type) && one.status === 'True',
  )
/** Whether a Job of the cluster has ended, well or not. */
export const hasEnded = (live: Manifest): boolean => has(live, 'Complete', 'Failed')
/** Whether the cluster's Job is this very one. */
export const isSame = (job: Manifest, live: Manifest): boolean =>
  live.metadata.annotations?.[jobStamp] === job.metadata.annotations?.[jobStamp]
/** Whether this very Job has ended well there. */
export const hasRun = (job: Manifest, live: Manifest): boolean =>
  has(live, 'Complete') && isSame(job, live)

/** The images of all workloads, each once. */
export const imagesOf = (all: Manifest[]): string[] => [
  ...new Set(
    workloads(all)
      .flatMap(containersOf)
      .map(({ image }) => image as string),
  ),
]

/** The images of manifests that are stamped, as `name@digest`, each once. */
export const digestsOf = (all: Manifest[]): string[] => [
  ...new Set(
    imagesOf(all)
      .map(parseImage)
      .map(({ name, digest }) => `${name}@${digest}`),
  ),
]

/** The names of ConfigMaps and Secrets that a workload's pods read, as `kind/name`. */
function readBy(workload: Manifest): string[] {
  const found = new Set<string>()
  const map = (name?: string) => name && found.add(`ConfigMap/${name}`)
  const secret = (name?: string) => name && found.add(`Secret/${name}`)
  for (const { envFrom = [], env = [] } of containersOf(workload)) {
    for (const { configMapRef, secretRef } of envFrom)
      (map(configMapRef?.name), secret(secretRef?.name))
    for (const { valueFrom } of env)
      (map(valueFrom?.configMapKeyRef?.name), secret(valueFrom?.secretKeyRef?.name))
  }
  for (const volume of podOf(workload).volumes ?? [])
    for (const one of [volume, ...(volume.projected?.sources ?? [])])
      (map(one.configMap?.name), secret(one.secret?.secretName ?? one.secret?.name))
  return [...found].sort()
}

/** The manifests with other images in the place of some. */
export function withImages(all: Manifest[], image: (old: string) => string): Manifest[] {
  const copy = structuredClone(all)
  for (const container of workloads(copy).flatMap(containersOf))
    container.image = image(container.image)
  return copy
}

/** Another tag for the images of these names, whatever they have now. */
export function withTag(all: Manifest[], names: string[], tag: string): Manifest[] {
  return withImages(all, old =>
    names.includes(parseImage(old).name) ? `${parseImage(old).name}:${tag}` : old,
  )
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
      settings.set(`${kind.replace('Sealed', '')}/${metadata.name}`, [
        data,
        stringData,
        binaryData,
        spec?.encryptedData,
      ])
  for (const one of workloads(copy)) {
    const read = readBy(one).map(name => [name, settings.get(name)])
    const { template } = one.spec
    template.metadata = {
      ...template.metadata,
      annotations: { ...template.metadata?.annotations, [configStamp]: hash(read) },
    }
    if (one.kind === 'Job')
      one.metadata.annotations = { ...one.metadata.annotations, [jobStamp]: hash(one.spec) }
  }
  return copy
}
