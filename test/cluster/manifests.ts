// The manifests as kustomize builds them, and what can be read off them without a cluster.
import { parseAllDocuments, stringify } from 'yaml'
import { parseExample, type ExampleEntry } from '../../scripts/lib/env/example.ts'
import { listSealedEntries } from '../../scripts/lib/env/logins.ts'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sandbox } from '../sandbox.ts'
import { tool } from './cluster.ts'

export type Json = Record<string, any>

const box = sandbox()
for (const argv of [['env'], ['env', 'demo']]) {
  const { code, stderr } = box.script(argv)
  if (code !== 0) throw new Error(`env files could not be made: ${stderr}`)
}
/** A copy of the repository with env files, so that the demo can be built. */
export const copy = box

export const environments = ['production', 'staging', 'demo'] as const
export type Environment = (typeof environments)[number]

/** The objects of a folder under infra/k8s. */
export function build(folder: string): Json[] {
  const text = tool('kubectl', ['kustomize', join(box.root, 'infra/k8s', folder)]).stdout
  return parseAllDocuments(text).map(document => document.toJS() as Json)
}

/** The objects of an overlay that exists only in the copy, `overlays/made`. */
export function buildOverlay(kustomization: Json): Json[] {
  const folder = join(box.root, 'infra/k8s/overlays/made')
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, 'kustomization.yaml'),
    stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      ...kustomization,
    }),
  )
  return build('overlays/made')
}

/** `Kind name` */
export const title = (object: Json): string => `${object.kind} ${object.metadata.name}`

export const of = (all: Json[], ...kinds: string[]): Json[] =>
  all.filter(({ kind }) => kinds.includes(kind))

/** The object of a name; kustomize's hash at its end is overlooked. */
export function find(all: Json[], kind: string, name: string): Json {
  const found = all.find(
    object =>
      object.kind === kind &&
      (object.metadata.name === name ||
        object.metadata.name.replace(/-[0-9a-z]{10}$/, '') === name),
  )
  if (!found) throw new Error(`there is no ${kind} ${name}`)
  return found
}

/** What makes pods. */
export const workloads = (all: Json[]): Json[] => of(all, 'Deployment', 'StatefulSet', 'Job')
export const podOf = (workload: Json): Json => workload.spec.template.spec
export const mainOf = (workload: Json): Json => podOf(workload).containers[0]
export const labelsOf = (workload: Json): Record<string, string> =>
  workload.spec.template.metadata.labels

/** Whether a label selector means a pod of these labels. */
export function selects(
  { matchLabels = {}, matchExpressions = [] }: Json,
  labels: Record<string, string>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }: Json) => {
      if (operator === 'Exists') return key in labels
      if (operator !== 'In') throw new Error(`operator ${operator} is not understood here`)
      return values.includes(labels[key])
    })
  )
}

/** The application's folder that a Secret belongs to, and what its example says of the keys. */
export function describedKeys(secret: string): ExampleEntry[] {
  const folder = secret.replace(/-secrets$/, '')
  const example = readFileSync(join(box.docker, folder, '.env.example'), 'utf8')
  // a pod needs a login, for which Compose has a default
  return listSealedEntries(parseExample(example)).map(one => ({
    ...one,
    required: one.required || !one.secret,
  }))
}

/**
 * The variables of a container with their values, as the kubelet makes them: envFrom first, then
 * `env`, with $(NAME) put in.
 * `secret` gives the value of a Secret's key.
 */
export function variables(
  all: Json[],
  container: Json,
  secret: (name: string, key: string) => string,
): Record<string, string> {
  const values: Record<string, string> = {}
  for (const { configMapRef } of container.envFrom ?? [])
    Object.assign(values, find(all, 'ConfigMap', configMapRef.name).data)
  for (const { name, value, valueFrom } of container.env ?? []) {
    const ref = valueFrom?.secretKeyRef
    values[name] = ref
      ? secret(ref.name, ref.key)
      : String(value ?? '').replace(/\$\((\w+)\)/g, (text, other: string) => values[other] ?? text)
  }
  return values
}
