// GraphQL as strict as upstream's server: a question is held against the schema before anything happens. No fragments, no directives.
import { Complaint } from './complaint.mjs'

const wrong = words => new Complaint(words, 'GRAPHQL_VALIDATION_FAILED')

/** The words of a document, read one after the other. */
function reader(text) {
  const words =
    text.replace(/#.*/g, '').match(/[A-Za-z_]\w*|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|[^\s,]/g) ?? []
  const next = () => words.shift()
  const at = word => words[0] === word
  const skip = word => (at(word) ? Boolean(next()) : false)
  const need = word => {
    if (!skip(word)) throw wrong(`Syntax Error: Expected "${word}", found ${words[0] ?? '<EOF>'}.`)
  }
  /** What stands between two brackets, one `item` after the other. */
  const all = (open, close, item) => {
    const found = []
    need(open)
    while (!skip(close)) {
      if (!words.length) throw wrong(`Syntax Error: Expected "${close}", found <EOF>.`)
      found.push(item())
    }
    return found
  }
  return { next, at, skip, need, all, end: () => !words.length }
}

function readType({ next, skip, need }) {
  const list = skip('[') ? readType({ next, skip, need }) : undefined
  if (list) need(']')
  const name = list ? `[${list.text}]` : next()
  const required = skip('!')
  return {
    text: name + (required ? '!' : ''),
    bare: name,
    name: list ? list.name : name,
    list,
    required,
  }
}

/** @returns {Map<string, { kind: string, fields?: Map<string, object>, values?: string[] }>} the types of a schema in GraphQL's own language */
export function readSchema(text) {
  const from = reader(text)
  const named = item => new Map(item.map(one => [one.name, one]))
  const field = () => {
    const name = from.next()
    const args = from.at('(') ? named(from.all('(', ')', field)) : new Map()
    from.need(':')
    return { name, args, type: readType(from) }
  }
  const types = new Map(
    ['String', 'Int', 'Float', 'Boolean', 'ID'].map(name => [name, { kind: 'scalar' }]),
  )
  while (!from.end()) {
    const [kind, name] = [from.next(), from.next()]
    if (kind === 'enum') types.set(name, { kind, values: from.all('{', '}', from.next) })
    else
      types.set(
        name,
        kind === 'scalar' ? { kind } : { kind, fields: named(from.all('{', '}', field)) },
      )
  }
  return types
}

function readQuestion(text) {
  const from = reader(text)
  const pair = () => {
    const name = from.next()
    from.need(':')
    return { name, value: value() }
  }
  const value = () => {
    if (from.skip('$')) return { variable: from.next() }
    if (from.at('{'))
      return {
        fields: from.all('{', '}', pair),
      }
    if (from.at('[')) return { items: from.all('[', ']', value) }
    const word = from.next()
    return {
      plain: /^[A-Za-z_]/.test(word) && !/^(true|false|null)$/.test(word) ? word : JSON.parse(word),
    }
  }
  const selection = () => {
    if (from.at('.') || from.at('@'))
      throw wrong('the stand-in knows neither fragments nor directives')
    const first = from.next()
    const name = from.skip(':') ? from.next() : first
    const args = from.at('(') ? from.all('(', ')', pair) : []
    return {
      alias: first,
      name,
      args,
      selections: from.at('{') ? from.all('{', '}', selection) : undefined,
    }
  }
  const variable = () => {
    from.need('$')
    const name = from.next()
    from.need(':')
    const type = readType(from)
    return { name, type, fallback: from.skip('=') ? value() : undefined }
  }
  const kind = from.at('{') ? 'query' : from.next()
  if (kind !== 'query' && kind !== 'mutation')
    throw wrong(`Syntax Error: Unexpected Name "${kind}".`)
  if (!from.at('{') && !from.at('(')) from.next()
  const variables = from.at('(') ? from.all('(', ')', variable) : []
  return { kind, variables, selections: from.all('{', '}', selection) }
}

/** JavaScript's types of the scalars; one that is not here takes any. */
const scalarTypes = {
  String: 'string',
  UUID: 'string',
  DateTime: 'string',
  Boolean: 'boolean',
  Int: 'number',
  Float: 'number',
}

/** A value as its type takes it; throws for a missing field, one that the type has not, and a value of another kind. */
function coerce(types, type, value, where) {
  if (value === undefined || value === null) {
    if (type.required)
      throw wrong(`${where}: Expected non-nullable type "${type.text}" not to be null.`)
    return value
  }
  if (type.list) return [value].flat().map(one => coerce(types, type.list, one, where))
  const { kind, fields, values } = types.get(type.name) ?? {}
  const fits = () => {
    if (kind === 'enum') return values.includes(value)
    const wanted = kind === 'scalar' ? scalarTypes[type.name] : 'object'
    return !wanted || typeof value === wanted
  }
  if (!fits())
    throw wrong(`${where}: ${type.name} cannot represent value: ${JSON.stringify(value)}`)
  if (kind !== 'input') return value
  for (const name of Object.keys(value))
    if (!fields.has(name))
      throw wrong(`${where}: Field "${name}" is not defined by type "${type.name}".`)
  return Object.fromEntries(
    [...fields.values()].map(field => [
      field.name,
      coerce(types, field.type, value[field.name], `${where}.${field.name}`),
    ]),
  )
}

/** The arguments of a field, out of literals and variables. */
function argumentsOf(types, parent, field, given, variables, values) {
  const literal = ({ variable, fields, items, plain }) => {
    if (variable !== undefined) return values[variable]
    if (fields) return Object.fromEntries(fields.map(one => [one.name, literal(one.value)]))
    return items ? items.map(literal) : plain
  }
  for (const { name, value } of given) {
    const known = field.args.get(name)
    if (!known) throw wrong(`Unknown argument "${name}" on field "${parent}.${field.name}".`)
    if (value.variable === undefined) continue
    const declared = variables.find(one => one.name === value.variable)
    if (!declared) throw wrong(`Variable "$${value.variable}" is not defined.`)
    if (declared.type.bare !== known.type.bare || (known.type.required && !declared.type.required))
      throw wrong(
        `Variable "$${value.variable}" of type "${declared.type.text}" used in position expecting type "${known.type.text}".`,
      )
  }
  return Object.fromEntries(
    [...field.args.values()].map(({ name, type }) => {
      const one = given.find(argument => argument.name === name)
      if (!one && type.required)
        throw wrong(
          `Field "${field.name}" argument "${name}" of type "${type.text}" is required, but it was not provided.`,
        )
      return [
        name,
        one && coerce(types, type, literal(one.value), `Argument "${name}" has invalid value`),
      ]
    }),
  )
}

/** Throws for a field that the type has not, and for one with too little or too much behind it. */
function check(types, parent, selections) {
  for (const { name, selections: below } of selections.filter(
    ({ name }) => name !== '__typename',
  )) {
    const field = types.get(parent).fields.get(name)
    if (!field) throw wrong(`Cannot query field "${name}" on type "${parent}".`)
    const leaf = types.get(field.type.name).kind !== 'type'
    if (leaf && below)
      throw wrong(
        `Field "${name}" must not have a selection since type "${field.type.text}" has no subfields.`,
      )
    if (!leaf && !below)
      throw wrong(
        `Field "${name}" of type "${field.type.text}" must have a selection of subfields.`,
      )
    if (below) check(types, field.type.name, below)
  }
}

/** What was asked for of an answer; a field that must have a value has one. */
function shape(types, { type, name }, selections, value) {
  if (value === undefined || value === null) {
    if (type.required) throw new Error(`Cannot return null for non-nullable field ${name}.`)
    return null
  }
  if (!selections) return value
  if (type.list) return value.map(one => shape(types, { type: type.list, name }, selections, one))
  const fields = types.get(type.name).fields
  return Object.fromEntries(
    selections.map(one => [
      one.alias,
      one.name === '__typename'
        ? type.name
        : shape(types, fields.get(one.name), one.selections, value[one.name]),
    ]),
  )
}

/**
 * The data that a question gets. Throws Complaint in graphql-js' words for what the schema does not have.
 * @param {Map<string, object>} types of readSchema
 * @param {{ query: string, variables?: object }} question
 * @param {(name: string, args: object) => Promise<unknown>} resolve gives the value of a field of Query or Mutation
 */
export async function answer(types, { query, variables: given = {} }, resolve) {
  const { kind, variables, selections } = readQuestion(query)
  const root = kind === 'query' ? 'Query' : 'Mutation'
  for (const { type } of variables)
    if (!types.has(type.name)) throw wrong(`Unknown type "${type.name}".`)
  check(types, root, selections)
  const values = Object.fromEntries(
    variables.map(({ name, type }) => [
      name,
      coerce(types, type, given[name], `Variable "$${name}" got invalid value`),
    ]),
  )
  const fields = types.get(root).fields
  const calls = selections.map(one =>
    one.name === '__typename'
      ? [one]
      : [
          one,
          fields.get(one.name),
          argumentsOf(types, root, fields.get(one.name), one.args, variables, values),
        ],
  )
  const data = {}
  for (const [{ alias, name, selections: below }, field, args] of calls)
    data[alias] = field ? shape(types, field, below, await resolve(name, args)) : root
  return data
}
