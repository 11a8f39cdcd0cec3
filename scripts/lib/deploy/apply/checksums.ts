// What a deploy adds to the manifests: image digests, and checksums of what pods read. Pure.
import {
  containerSpecsOf,
  hasCondition,
  listVolumeSources,
  selectWorkloads,
  type Manifest,
} from '../../kubernetes/objects.ts'
import { createHash } from 'node:crypto'
import { parseImage } from '../../images/reference.ts'

export const configChecksumAnnotation = 'kgc.hu/config'
export const jobChecksumAnnotation = 'kgc.hu/manifest'
/** On a workload: variables that count at its first start alone, by their names. */
const firstStartAnnotation = 'kgc.hu/first-start'

const computeChecksum = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
/** Whether a Job of the cluster has ended, well or not. */
export const hasJobEnded = (live: Manifest): boolean =>
  hasCondition(live, 'Complete') || hasCondition(live, 'Failed')
/** Whether the cluster's Job is this very one. */
export const isSameJob = (job: Manifest, live: Manifest): boolean =>
  live.metadata.annotations?.[jobChecksumAnnotation] ===
  job.metadata.annotations?.[jobChecksumAnnotation]
/** Whether this very Job has ended well there. */
export const hasJobSucceeded = (job: Manifest, live: Manifest): boolean =>
  hasCondition(live, 'Complete') && isSameJob(job, live)

/** The images of all workloads, each once. */
export const listWorkloadImages = (all: Manifest[]): string[] => [
  ...new Set(
    selectWorkloads(all)
      .flatMap(containerSpecsOf)
      .map(({ image }) => image as string),
  ),
]

/** The images of manifests that are stamped, as `name@digest`, each once. */
export const listWorkloadDigests = (all: Manifest[]): string[] => [
  ...new Set(
    listWorkloadImages(all)
      .map(parseImage)
      .map(({ name, digest }) => `${name}@${digest}`),
  ),
]

/**
 * What a workload's pods read of ConfigMaps and Secrets, as `kind/name` for all of one and
 * `kind/name key` for one of its keys.
 */
function listConfigReferences(workload: Manifest): string[] {
  const found = new Set<string>()
  const add = (map?: string, secret?: string) => {
    if (map) found.add(`ConfigMap/${map}`)
    if (secret) found.add(`Secret/${secret}`)
  }
  const first = workload.metadata.annotations?.[firstStartAnnotation]?.split(' ') ?? []
  for (const { envFrom = [], env = [] } of containerSpecsOf(workload)) {
    for (const { configMapRef, secretRef } of envFrom) add(configMapRef?.name, secretRef?.name)
    for (const { name, valueFrom } of env) {
      const { configMapKeyRef: map, secretKeyRef: secret } = valueFrom ?? {}
      if (!first.includes(name))
        add(map && `${map.name} ${map.key}`, secret && `${secret.name} ${secret.key}`)
    }
  }
  for (const source of listVolumeSources(workload)) add(source.configMap, source.secret)
  return [...found].sort()
}

/** The manifests with other images in the place of some. */
export function replaceImages(all: Manifest[], image: (old: string) => string): Manifest[] {
  const copy = structuredClone(all)
  for (const container of selectWorkloads(copy).flatMap(containerSpecsOf))
    container.image = image(container.image)
  return copy
}

/** Another tag for the images of these names, whatever they have now. */
export function replaceImageTags(all: Manifest[], names: string[], tag: string): Manifest[] {
  return replaceImages(all, old =>
    names.includes(parseImage(old).name) ? `${parseImage(old).name}:${tag}` : old,
  )
}

/**
 * The manifests as they are applied: images by digest, on each pod template a hash of the settings
 * and secrets that its pods read, key by key (so that they restart when one changes), on each Job a hash of
 * itself (so that it is known whether it has run).
 */
export function withDigestsAndChecksums(all: Manifest[], digests: Map<string, string>): Manifest[] {
  const copy = replaceImages(all, old => {
    const { name, tag, digest } = parseImage(old)
    return `${name}${tag ? `:${tag}` : ''}@${digest ?? digests.get(old)}`
  })
  const settings = new Map<string, (Record<string, unknown> | undefined)[]>()
  for (const { kind, metadata, data, stringData, binaryData, spec } of copy)
    if (['ConfigMap', 'Secret', 'SealedSecret'].includes(kind))
      settings.set(`${kind.replace('Sealed', '')}/${metadata.name}`, [
        data,
        stringData,
        binaryData,
        spec?.encryptedData,
      ])
  const valueOf = (reference: string) => {
    const [name = '', key] = reference.split(' ')
    const parts = settings.get(name)
    return key === undefined ? parts : parts?.map(part => part?.[key])
  }
  for (const one of selectWorkloads(copy)) {
    const read = listConfigReferences(one).map(name => [name, valueOf(name)])
    const { template } = one.spec
    template.metadata = {
      ...template.metadata,
      annotations: {
        ...template.metadata?.annotations,
        [configChecksumAnnotation]: computeChecksum(read),
      },
    }
    if (one.kind === 'Job')
      one.metadata.annotations = {
        ...one.metadata.annotations,
        [jobChecksumAnnotation]: computeChecksum(one.spec),
      }
  }
  return copy
}
