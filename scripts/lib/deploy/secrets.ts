// What an environment's Secrets hold: which keys there are, and the values that its pods can read, so that nothing that is said holds one.
import { kubectl, workloads, type Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { keepSecret } from '../redact.ts'
import { containersOf, podOf } from './stamp.ts'

/** Keys and their values, in base64. */
type Data = Record<string, string>

/** What pods read: `secret/key`, or `secret/` for all of its keys. */
const read = new Set<string>()
let known = new Map<string, Data>()

/** The namespace's Secrets as they are now. */
async function learn(place: Place): Promise<void> {
  const { stdout } = await kubectl(place, ['get', 'secrets', '--output', 'json'], {
    what: 'Read which secrets there are',
  })
  known = new Map(
    (JSON.parse(stdout) as { items: Manifest[] }).items.map(({ metadata, data }) => [
      metadata.name,
      (data ?? {}) as Data,
    ]),
  )
}

/** The names of the namespace's Secrets and their keys that are not empty. */
export async function liveKeys(place: Place): Promise<Map<string, string[]>> {
  await learn(place)
  return new Map(
    [...known].map(([name, data]) => [name, Object.keys(data).filter(key => data[key])]),
  )
}

/** From now on nothing is said of what the pods of these manifests read in Secrets. */
export function hideRead(all: Manifest[]): void {
  for (const one of workloads(all)) keysOf(one).forEach(name => read.add(name))
  hide(
    new Map(
      all
        .filter(({ kind }) => kind === 'Secret')
        .map(({ metadata, data, stringData }) => [
          metadata.name,
          { ...data, ...encoded(stringData) },
        ]),
    ),
  )
  hide(known)
}

/** Looks once more: what came sealed is there only now. Where the Secrets cannot be read nothing is learnt. */
export const hideNew = (place: Place): Promise<void> =>
  read.size
    ? learn(place).then(
        () => hide(known),
        () => {},
      )
    : Promise.resolve()

const encoded = (data: Record<string, string> = {}): Data =>
  Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  )

/** What a workload's pods read of Secrets; of others none of its values can come into their logs. */
function keysOf(workload: Manifest): string[] {
  const pod = podOf(workload)
  const keys = containersOf(workload).flatMap(({ env = [], envFrom = [] }) => [
    ...env.map(
      ({ valueFrom }: Manifest) =>
        valueFrom?.secretKeyRef && `${valueFrom.secretKeyRef.name}/${valueFrom.secretKeyRef.key}`,
    ),
    ...envFrom.map(({ secretRef }: Manifest) => secretRef && `${secretRef.name}/`),
  ])
  const volumes = (pod.volumes ?? []).flatMap((one: Manifest) => [
    one,
    ...(one.projected?.sources ?? []),
  ])
  return [
    ...keys,
    ...volumes.map(({ secret }: Manifest) => secret && `${secret.secretName ?? secret.name}/`),
  ].filter(Boolean)
}

function hide(secrets: Map<string, Data>): void {
  for (const [name, data] of secrets)
    for (const [key, value] of Object.entries(data))
      if (read.has(`${name}/`) || read.has(`${name}/${key}`))
        forms(Buffer.from(value, 'base64').toString()).forEach(keepSecret)
}

/** A value as it may come back: whole, line by line, in JSON, in an address; of an address its password. Whole values first. */
function forms(value: string): string[] {
  const lines = value.split('\n').map(line => line.trim())
  const parts = [value.trim(), ...lines.filter(line => line.length >= 16)]
  const passwords = parts.filter(part => URL.canParse(part)).flatMap(part => new URL(part).password)
  return [...parts, ...passwords].flatMap(part => [
    part,
    JSON.stringify(part).slice(1, -1),
    encodeURIComponent(part),
    decoded(part),
  ])
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
