// Names in PostgreSQL's parse tree, as the catalogue's query (compare.mjs) writes them.

/** Quoted for SQL. */
export const quoted = name =>
  name
    .split('.')
    .map(part => `"${part.replaceAll('"', '""')}"`)
    .join('.')

/** The strings of a list of nodes. */
export const words = list => list.map(({ String }) => String.sval)

/** Without the connection's own schema. */
export const bare = parts =>
  parts.filter((part, i) => i === parts.length - 1 || part !== 'public').join('.')

/** A RangeVar's name. */
export const nameOf = ({ schemaname, relname }) => bare([schemaname, relname].filter(Boolean))

export const policyKey = ({ policy_name: name, table, cmd_name: command, permissive = false }) =>
  `policy ${name} on ${nameOf(table)} ${permissive ? 'permissive' : 'restrictive'} for ${command}`

/** What a DROP takes away, as a test of an object; undefined for a kind that is not known. */
export function named(type, object) {
  const parts = words(
    object.List?.items ?? object.TypeName?.names ?? object.ObjectWithArgs?.objname ?? [object],
  )
  const name = bare(parts)
  const [last, table] = [parts.at(-1), bare(parts.slice(0, -1))]
  const arguments_ = object.ObjectWithArgs?.objargs
  const exactly = key => one => one.key === key
  switch (type) {
    case 'OBJECT_TABLE':
      return one => one.table === name
    case 'OBJECT_POLICY':
    case 'OBJECT_TRIGGER':
      return one => `${one.key} `.startsWith(`${type.slice(7).toLowerCase()} ${last} on ${table} `)
    case 'OBJECT_FUNCTION':
      return one =>
        arguments_
          ? one.key === `function ${name}/${arguments_.length}`
          : one.key.startsWith(`function ${name}/`)
    case 'OBJECT_VIEW':
    case 'OBJECT_MATVIEW':
      return exactly(`view ${name}`)
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN':
      return exactly(`type ${name}`)
    case 'OBJECT_INDEX':
    case 'OBJECT_SEQUENCE':
    case 'OBJECT_EXTENSION':
    case 'OBJECT_SCHEMA':
      return exactly(`${type.slice(7).toLowerCase()} ${name}`)
    default:
      return undefined
  }
}
