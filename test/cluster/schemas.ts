// JSON schemas for kubeconform, made from the API server's own description of what it knows, CRDs
// included.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Json } from './manifests.ts'

const prefix = '#/definitions/'

/**
 * Writes a strict schema per kind into a folder; returns how many. `openapi` is what /openapi/v2
 * answers.
 */
export function writeSchemas({ definitions }: Json, folder: string): number {
  const either = { type: ['string', 'integer'] }
  const strict = Object.fromEntries(
    Object.entries<Json>(definitions).map(([name, schema]) => [
      name,
      name.endsWith('.IntOrString') ? either : tighten(schema),
    ]),
  )
  const kinds = Object.entries<Json>(definitions).flatMap(([name, schema]) => {
    const [gvk, ...others] = schema['x-kubernetes-group-version-kind'] ?? []
    return gvk && !others.length ? [{ name, ...gvk }] : []
  })
  for (const { name, group, version, kind } of kinds) {
    const schema = { $ref: prefix + name, definitions: reachable(strict, name) }
    writeFileSync(
      join(
        folder,
        `${[kind, group.split('.')[0], version].filter(Boolean).join('-')}.json`.toLowerCase(),
      ),
      JSON.stringify(schema),
    )
  }
  return kinds.length
}

/** Where kubeconform finds them. */
export const location = (folder: string): string =>
  join(folder, '{{ .ResourceKind }}{{ .KindSuffix }}.json')

/** A key that is not described is an error. */
function tighten(schema: unknown): any {
  if (Array.isArray(schema)) return schema.map(tighten)
  if (typeof schema !== 'object' || !schema) return schema
  const result = Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => !/^x-kubernetes/.test(key))
      .map(([key, value]) => [key, tighten(value)]),
  )
  if ('x-kubernetes-int-or-string' in schema) return { type: ['string', 'integer'] }
  const open = 'additionalProperties' in schema || 'x-kubernetes-preserve-unknown-fields' in schema
  return 'properties' in schema && !open ? { ...result, additionalProperties: false } : result
}

function reachable(all: Record<string, Json>, start: string): Record<string, Json> {
  const found = new Set([start])
  for (const name of found)
    for (const [, other] of JSON.stringify(all[name] ?? {}).matchAll(
      /"\$ref":"#\/definitions\/([^"]+)"/g,
    ))
      found.add(other!)
  return Object.fromEntries([...found].map(name => [name, all[name] ?? {}]))
}
