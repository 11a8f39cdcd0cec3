// Errors in manifests, in words: what cannot work, which keys are missing, what the cluster
// rejects. Pure.
import {
  selectWorkloads,
  resourceId,
  containerSpecsOf,
  type Manifest,
} from '../../kubernetes/objects.ts'
import { applyOrders, type ApplyOrder } from '../apply/order.ts'
import { explainHandMadeField } from './hand-made-fields.ts'

/** What of the manifests cannot work, whatever the cluster says. */
export function findManifestErrors(all: Manifest[]): string[] {
  const pods = selectWorkloads(all).map(
    ({ spec }) => (spec.template.metadata?.labels ?? {}) as Record<string, string>,
  )
  const selects = (selector: Record<string, string>) =>
    pods.some(labels => Object.entries(selector).every(([key, value]) => labels[key] === value))
  const blind = all
    .filter(({ kind, spec }) => kind === 'Service' && spec.selector && !selects(spec.selector))
    .map(
      one =>
        `${resourceId(one)} selects no pod of this environment: ${JSON.stringify(one.spec.selector)}`,
    )
  const wide = all
    .filter(({ kind }) =>
      /^(Namespace|CustomResourceDefinition|PriorityClass|Cluster\w+)$/.test(kind),
    )
    .map(
      one =>
        `${resourceId(one)} belongs to the whole cluster: move it to infra/k8s/cluster, which an administrator applies`,
    )
  const said = all
    .filter(
      ({ metadata }) =>
        metadata.annotations?.['kgc.hu/order'] &&
        !applyOrders.includes(metadata.annotations['kgc.hu/order'] as ApplyOrder),
    )
    .map(one => `${resourceId(one)}: kgc.hu/order must be one of ${applyOrders.join(', ')}`)
  return [...blind, ...wide, ...said]
}

/**
 * Databases whose user or name would change: PostgreSQL's image reads both when its volume is made
 * and never again. `live` is what stands there.
 */
export function findChangedDatabases(all: Manifest[], live: Manifest[]): string[] {
  const valueOf = (one: Manifest, name: string) =>
    containerSpecsOf(one)
      .flatMap(({ env = [] }) => env)
      .find(entry => entry.name === name)?.value
  return selectWorkloads(all).flatMap(one => {
    const now = live.find(other => resourceId(other) === resourceId(one))
    const moved = ['POSTGRES_USER', 'POSTGRES_DB'].filter(
      name => now && valueOf(now, name) && valueOf(now, name) !== valueOf(one, name),
    )
    return moved.map(
      name =>
        `${resourceId(one)}: its volume was created with ${name} ${valueOf(now!, name)}: dump and restore (infra/k8s/README.md, "Older databases")`,
    )
  })
}

/**
 * Keys that pods need and that nothing gives them. `live` are the Secrets that are in the cluster:
 * their names, with the keys that are not empty.
 */
export function findMissingSecretKeys(all: Manifest[], live: Map<string, string[]>): string[] {
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
  for (const { envFrom = [], env = [] } of selectWorkloads(all).flatMap(containerSpecsOf)) {
    for (const { secretRef } of envFrom)
      if (secretRef?.name && !secretRef.optional && !given.has(secretRef.name))
        missing.add(`the Secret ${secretRef.name} is not there`)
    for (const { valueFrom } of env) {
      const { name, key = '', optional } = valueFrom?.secretKeyRef ?? {}
      if (name && !optional && !given.get(name)?.includes(key))
        missing.add(`${key} of ${name} is missing or empty`)
    }
  }
  return [...missing]
}

/**
 * Whether an error says that a quota is used up by Jobs of which the change first deletes one: the
 * trial counts the new one beside the old one of the same name.
 */
export function isFreedByReplacement(error: string, live: Manifest[]): boolean {
  const name = /jobs\.batch "([^"]+)" is forbidden: exceeded quota/.exec(error)?.[1]
  if (!live.some(({ kind, metadata }) => kind === 'Job' && metadata.name === name)) return false
  const number = (what: string) =>
    Number(new RegExp(`${what}: count/jobs\\.batch=(\\d+)(?:, [a-z]+:|$)`).exec(error)?.[1] ?? NaN)
  return number('used') - 1 + number('requested') <= number('limited')
}

/**
 * In words that lead on: what the cluster said of a change that it will not take; `wanted` is what was
 * sent, `live` what stands there.
 */
export function explainServerError(error: string, wanted?: Manifest, live?: Manifest): string {
  const byHand = wanted && live && explainHandMadeField(error, wanted, live)
  if (byHand) return byHand
  // what comes after it shows the object, field by field
  const [line = ''] = error.split('\n')
  const name = /(?:The|Error from server[^:]*:) (\w+)(?:\.\S+)? "([^"]+)"/.exec(line)
  const what = name ? `${name[1]} ${name[2]}: ` : ''
  if (/statefulset spec for fields other than/i.test(line))
    return (
      `${what}volumeClaimTemplates, selector and serviceName of a StatefulSet cannot be changed; restore them, or ` +
      `\`kubectl delete statefulset ${name?.[2] ?? 'NAME'} --cascade=orphan\` first: its pods and volumes stay`
    )
  if (/spec is immutable after creation/.test(line))
    return (
      `${what}of a volume that is there nothing can be changed but its size, which may grow; restore the rest, or ` +
      'give the claim another name and copy its data'
    )
  if (/field is immutable/.test(line))
    return (
      `${what}an immutable field has changed (${/(spec\.[\w.[\]]+)/.exec(line)?.[1] ?? 'spec'}); restore it, or ` +
      `give the object another name: the old one is removed after the new one serves`
    )
  const space = /namespaces "([^"]+)" not found/.exec(line)?.[1]
  if (space)
    return `the namespace ${space} is not there; an administrator creates it: kubectl apply -k infra/k8s/cluster`
  const kind = /no matches for kind "([^"]+)" in version "([^"]+)"/.exec(line)
  if (kind)
    return `the cluster does not know ${kind[1]} (${kind[2]}): its CRD is not installed; infra/k8s/README.md, "What the cluster must have"`
  return line
    .replace(/^error: |^Error from server (\(\w+\): )?/, '')
    .replace(/^(\w+)\.[\w.]+ "([^"]+)" is /, '$1 $2 is ')
}
