// What an environment's Secrets hold: their keys, and the values that its pods can read, so that no
// message prints such a value.
import { listObjects } from './resources.ts'
import { selectWorkloads, containerSpecsOf, listVolumeSources, type Manifest } from './objects.ts'
import type { Environment } from './environment.ts'
import { keepSecret } from '../redact.ts'

/** Keys and their values, in base64. */
type SecretData = Record<string, string>

/** What pods read: `secret/key`, or `secret/` for all of its keys. */
const readableKeys = new Set<string>()
let liveSecrets = new Map<string, SecretData>()

/**
 * The names of Secrets, as the cluster has them now, and their keys that are not empty. Their values
 * are those that redactSecretsOf looks up.
 */
export function readSecretKeys(secrets: Manifest[]): Map<string, string[]> {
  liveSecrets = new Map(
    secrets.map(({ metadata, data }) => [metadata.name, (data ?? {}) as SecretData]),
  )
  return new Map(
    [...liveSecrets].map(([name, data]) => [name, Object.keys(data).filter(key => data[key])]),
  )
}

/** From now on nothing is said of what the pods of these manifests read in Secrets. */
export function redactSecretsOf(all: Manifest[]): void {
  for (const one of selectWorkloads(all))
    listSecretReferences(one).forEach(name => readableKeys.add(name))
  redactReadableValues(
    new Map(
      all
        .filter(({ kind }) => kind === 'Secret')
        .map(({ metadata, data, stringData }) => [
          metadata.name,
          { ...data, ...encodeValues(stringData) },
        ]),
    ),
  )
  redactReadableValues(liveSecrets)
}

/**
 * Looks once more: what came sealed is there only now. Where the Secrets cannot be read nothing is
 * learnt.
 */
export async function refreshRedaction(environment: Environment): Promise<void> {
  if (!readableKeys.size) return
  const secrets = await listObjects(environment, ['v1/secrets']).catch(() => undefined)
  if (!secrets) return
  readSecretKeys(secrets)
  redactReadableValues(liveSecrets)
}

const encodeValues = (data: Record<string, string> = {}): SecretData =>
  Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  )

/**
 * What a workload's pods read of Secrets; of others none of its values can come into their logs.
 */
function listSecretReferences(workload: Manifest): string[] {
  const keys = containerSpecsOf(workload).flatMap(({ env = [], envFrom = [] }) => [
    ...env.map(
      ({ valueFrom }) =>
        valueFrom?.secretKeyRef && `${valueFrom.secretKeyRef.name}/${valueFrom.secretKeyRef.key}`,
    ),
    ...envFrom.map(({ secretRef }) => secretRef && `${secretRef.name}/`),
  ])
  const volumes = listVolumeSources(workload).map(({ secret }) => secret && `${secret}/`)
  return [...keys, ...volumes].filter(one => one !== undefined)
}

function redactReadableValues(secrets: Map<string, SecretData>): void {
  for (const [name, data] of secrets)
    for (const [key, value] of Object.entries(data))
      if (readableKeys.has(`${name}/`) || readableKeys.has(`${name}/${key}`))
        listRedactionForms(Buffer.from(value, 'base64').toString()).forEach(keepSecret)
}

/**
 * A value as it may come back: whole, line by line, in JSON, in an address; of an address its
 * password. Whole values first.
 */
function listRedactionForms(value: string): string[] {
  const lines = value.split('\n').map(line => line.trim())
  const parts = [value.trim(), ...lines.filter(line => line.length >= 16)]
  const passwords = parts.filter(part => URL.canParse(part)).flatMap(part => new URL(part).password)
  return [...parts, ...passwords].flatMap(part => [
    part,
    JSON.stringify(part).slice(1, -1),
    encodeURIComponent(part),
    decodeUriText(part),
  ])
}

function decodeUriText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
