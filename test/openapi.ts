// GitHub's own description of its API, and whether a request and its answer are as it says. It is
// big, so it is fetched once, for the tests alone.
// Usage: node --import=tsx test/openapi.ts   fetches it
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { cache } from './node.ts'

type Json = Record<string, any>
const version = '23.0.2'
const inPackage = 'package/generated/api.github.com.json'

/** What the scripts ask for: the description of all the rest takes seconds to read. */
const used =
  /^\/(users\/\{username\}|repos\/\{owner\}\/\{repo\}(\/(compare|deployments|forks|pulls|releases|security-advisories)(\/.*)?)?)$/
const key = createHash('sha256').update(String(used)).digest('hex').slice(0, 8)
const file = join(cache, `github-openapi-${version}-${key}.json`)

/** Whether it is on this machine. */
export const hasOpenApi = (): boolean => existsSync(file)

/** Fetches it from npm, and keeps the part that is used. */
export function fetchOpenApi(): void {
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'openapi-'))
  try {
    const steps = [
      ['npm', 'pack', '--silent', `@octokit/openapi@${version}`],
      ['tar', '-xzf', `octokit-openapi-${version}.tgz`, inPackage],
    ]
    for (const [program = '', ...argv] of steps) {
      const { status, stderr } = spawnSync(program, argv, { cwd: folder, encoding: 'utf8' })
      if (status !== 0) throw new Error(`${program} ${argv.join(' ')}: ${stderr}`)
    }
    const all = JSON.parse(readFileSync(join(folder, inPackage), 'utf8'), nullableAsType) as Json
    writeFileSync(join(folder, 'used'), JSON.stringify(selectUsed(all)))
    renameSync(join(folder, 'used'), file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The paths that are used, and all that they refer to. */
function selectUsed({ paths, components }: Json): { paths: Json; components: Json } {
  const kept = Object.fromEntries(Object.entries(paths as Json).filter(([path]) => used.test(path)))
  const selected: Json = {}
  const waiting = referencesIn(kept)
  for (const reference of waiting) {
    const [, , kind = '', name = ''] = reference.split('/')
    if (selected[kind]?.[name]) continue
    selected[kind] = { ...selected[kind], [name]: components[kind][name] }
    for (const next of referencesIn(components[kind][name])) waiting.add(next)
  }
  return { paths: kept, components: selected }
}

const referencesIn = (value: unknown): Set<string> =>
  new Set(
    [...JSON.stringify(value).matchAll(/"\$ref":"(#\/components\/[^"]+)"/g)].map(
      ([, to]) => to ?? '',
    ),
  )

let loaded: { ajv: Ajv; paths: Json; components: Json } | undefined

function load() {
  if (!hasOpenApi()) fetchOpenApi()
  if (loaded) return loaded
  const description = JSON.parse(readFileSync(file, 'utf8')) as Json
  // OpenAPI 3.0 has keywords of its own; a format says nothing that these tests ask
  const ajv = new Ajv({
    strict: false,
    validateFormats: false,
    allErrors: true,
    coerceTypes: false,
  })
  ajv.addSchema(description, 'github')
  loaded = { ajv, paths: description.paths, components: description.components }
  return loaded
}

/** `nullable` beside a reference is OpenAPI's alone: JSON Schema has another type for it. */
function nullableAsType(_: string, value: unknown): unknown {
  const { nullable, ...schema } = Object(value) as Json
  return nullable === true && !schema.type && !Array.isArray(value)
    ? { anyOf: [schema, { type: 'null' }] }
    : value
}

/** The path of the description that a path is of, `/repos/{owner}/{repo}`, with its values. */
function findPath(paths: Json, path: string): { template: string; values: Json } | undefined {
  const parts = path.split('/')
  const found = Object.keys(paths)
    .filter(template => {
      const own = template.split('/')
      const isParameter = (part: string) => part.startsWith('{')
      return (
        own.length === parts.length &&
        own.every((part, i) => isParameter(part) || part === parts[i])
      )
    })
    // what is written out goes before a parameter
    .sort((a, b) => a.split('{').length - b.split('{').length)[0]
  if (!found) return undefined
  const values = found
    .split('/')
    .flatMap((part, i) => (part.startsWith('{') ? [[part.slice(1, -1), parts[i]]] : []))
  return { template: found, values: Object.fromEntries(values) }
}

const pointer = (...parts: string[]): string =>
  `github#/${parts.map(part => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`

/** What is wrong with a value, in a few words; '' when nothing is. */
function faults(where: string, value: unknown): string {
  const { ajv } = load()
  const validate = ajv.getSchema(where) ?? ajv.compile({ $ref: where })
  return validate(value) ? '' : ajv.errorsText(validate.errors).slice(0, 1000)
}

const scalars: Json = { string: '', integer: 0, number: 0, boolean: false }

/** The least that a schema takes, with `own` over it: what a test does not say is as GitHub says. */
export function complete(schema: Json, own?: unknown): unknown {
  if (schema.$ref) return complete(resolveReference(schema), own)
  if (own === undefined && schema.anyOf?.at(-1)?.type === 'null') return null
  const [first] = (schema.allOf ?? schema.anyOf ?? schema.oneOf ?? []) as Json[]
  if (schema.type === 'array')
    return (Array.isArray(own) ? own : []).map(one => complete(schema.items, one))
  if (own !== undefined && (own === null || typeof own !== 'object')) return own
  if (own === undefined && schema.nullable && !schema.enum) return null
  if (first && !schema.properties) return complete(first, own)
  if (schema.enum) return schema.enum[0]
  if (schema.type !== 'object' && !schema.properties) return own ?? scalars[schema.type] ?? {}
  const given = Object(own) as Json
  const names = [...new Set([...(schema.required ?? []), ...Object.keys(given)])] as string[]
  return Object.fromEntries(
    names.map(name => [name, complete(schema.properties?.[name] ?? {}, given[name])]),
  )
}

export interface Call {
  method: string
  /** With its query. */
  url: string
  body: unknown
}

/** An operation of the description. */
function operationOf({ method, url }: Call) {
  const { paths } = load()
  const { pathname, searchParams } = new URL(url, 'http://x')
  const found = findPath(paths, decodeURI(pathname))
  const operation = found && paths[found.template][method.toLowerCase()]
  if (!found || !operation) throw new Error(`GitHub has no ${method} ${pathname}`)
  return { ...found, operation: operation as Json, searchParams, verb: method.toLowerCase() }
}

/** A part of the description, where it is referred to. */
const resolveReference = (value: Json): Json => {
  const [, , kind = '', name = ''] = String(value.$ref ?? '').split('/')
  return kind ? load().components[kind][name] : value
}

/** Throws Error for a request that GitHub's description does not know. */
export function checkRequest(call: Call): void {
  const { operation, searchParams, template, verb } = operationOf(call)
  const parameters = (operation.parameters ?? []).map(resolveReference) as Json[]
  for (const [name, value] of searchParams) {
    const schema = parameters.find(one => one.in === 'query' && one.name === name)?.schema
    if (!schema) throw new Error(`${verb} ${template} has no parameter ${name}`)
    const plain = schema.type === 'integer' ? Number(value) : value
    const { ajv } = load()
    if (schema.enum && !ajv.validate({ enum: schema.enum }, plain))
      throw new Error(`${verb} ${template}: ${name} is ${value}`)
    if (schema.type === 'integer' && !Number.isInteger(plain))
      throw new Error(`${verb} ${template}: ${name} is no number`)
  }
  const wanted = operation.requestBody
  if (!wanted) return
  if (call.body === undefined && !wanted.required) return
  const where = pointer(
    'paths',
    template,
    verb,
    'requestBody',
    'content',
    'application/json',
    'schema',
  )
  const wrong = faults(where, call.body ?? {})
  const known = Object.keys(wanted.content['application/json'].schema.properties ?? {})
  const strange = Object.keys(Object(call.body)).filter(key => known.length && !known.includes(key))
  if (wrong || strange.length)
    throw new Error(`${verb} ${template}: ${wrong || strange.join(', ')}`)
}

/** Throws Error for an answer that GitHub would not give to that. */
export function checkAnswer(call: Call, status: number, body: unknown): void {
  const { operation, template, verb } = operationOf(call)
  const said = operation.responses[String(status)]
  // what any request may be answered
  if (!said && [401, 403, 429, 500, 502, 503].includes(status)) {
    const wrong = faults(pointer('components', 'schemas', 'basic-error'), body)
    if (wrong) throw new Error(`${status}: ${wrong}`)
    return
  }
  if (!said) throw new Error(`${verb} ${template} does not answer ${status}`)
  const content = resolveReference(said).content?.['application/json']
  if (!content) return
  const [, , kind = '', name = ''] = String(said.$ref ?? '').split('/')
  const where = kind
    ? pointer('components', kind, name, 'content', 'application/json', 'schema')
    : pointer(
        'paths',
        template,
        verb,
        'responses',
        String(status),
        'content',
        'application/json',
        'schema',
      )
  const wrong = faults(where, body)
  if (wrong) throw new Error(`${verb} ${template} ${status}: ${wrong}`)
}

/** An answer with these values, and all else that GitHub's description requires of it. */
export function completeAnswer(call: Call, status: number, body: unknown): unknown {
  const said = operationOf(call).operation.responses[String(status)]
  const schema = said && resolveReference(said).content?.['application/json']?.schema
  return schema ? complete(schema, body) : body
}

if (process.argv[1] === import.meta.filename && !hasOpenApi()) fetchOpenApi()
