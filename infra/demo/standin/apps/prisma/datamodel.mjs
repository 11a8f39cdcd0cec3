// A Prisma schema, as far as KGC's stand-in needs one: models with scalar fields, keys, indexes and references.

/** Types without an attribute of their own (schema-engine/connectors/sql-schema-connector/…/postgres.rs: scalar defaults). */
const scalars = {
  String: 'TEXT',
  DateTime: 'TIMESTAMP(3)',
  Int: 'INTEGER',
  BigInt: 'BIGINT',
  Boolean: 'BOOLEAN',
  Decimal: 'DECIMAL(65,30)',
  Json: 'JSONB',
}
const natives = {
  Uuid: 'UUID',
  Timestamptz: 'TIMESTAMPTZ',
  VarChar: 'VARCHAR',
  Date: 'DATE',
  Decimal: 'DECIMAL',
  Text: 'TEXT',
}

const argument = (text, name) =>
  new RegExp(`@${name}\\(("?)((?:[^()"]|\\([^()]*\\))*?)\\1\\)`).exec(text)?.[2]
const list = text =>
  /\[(.*?)\]/
    .exec(text)?.[1]
    .split(',')
    .map(name => name.trim()) ?? []

function typeOf(type, rest) {
  const [, native, size] = /@db\.(\w+)(\([\d, ]+\))?/.exec(rest) ?? []
  return native ? natives[native] + (size ?? '') : scalars[type]
}

/** A DEFAULT in SQL: `uuid()` is made by the client. */
function defaultOf(rest) {
  const [, generated] = /@default\(dbgenerated\("(.*?)"\)\)/.exec(rest) ?? []
  if (generated) return generated
  const value = /@default\((".*?"|[\w.-]+(?:\(\))?)\)/.exec(rest)?.[1]
  if (!value || /^(uuid|cuid)\(\)$/.test(value)) return undefined
  return value === 'now()' ? 'CURRENT_TIMESTAMP' : value.replace(/^"(.*)"$/, "'$1'")
}

/** @returns {{ table: string, columns: { name: string, type: string, required: boolean, default?: string, id: boolean }[], indexes: { name: string, unique: boolean, columns: string[] }[], references: { name: string, columns: string[], table: string, to: string[] }[] }[]} */
export function tablesOf(text) {
  const models = [...text.matchAll(/^model (\w+) \{\n([^]*?)^\}/gm)].map(([, name, body]) => ({
    name,
    lines: body
      .split('\n')
      .map(line => line.trim())
      .filter(line => line && !line.startsWith('//')),
  }))
  const mapped = ({ name, lines }) =>
    argument(lines.find(line => line.startsWith('@@map')) ?? '', '@map') ?? name
  return models.map(model => {
    const table = mapped(model)
    const fields = model.lines
      .filter(line => !line.startsWith('@@'))
      .map(line => /^(\w+)\s+(\w+)(\[\])?(\?)?\s*(.*)$/.exec(line))
    const column = field =>
      argument(fields.find(([, name]) => name === field)?.[5] ?? '', 'map') ?? field
    const columns = fields
      .filter(([, , type]) => scalars[type])
      .map(([, name, type, , optional, rest]) => ({
        name: column(name),
        type: typeOf(type, rest),
        required: !optional,
        default: defaultOf(rest),
        id: /@id\b/.test(rest),
      }))
    const indexes = model.lines.flatMap(line => {
      const [, kind] = /^@@(index|unique)\(/.exec(line) ?? []
      const names = list(line).map(column)
      return kind
        ? [
            {
              name:
                argument(line, 'map') ??
                `${table}_${names.join('_')}_${kind === 'unique' ? 'key' : 'idx'}`,
              unique: kind === 'unique',
              columns: names,
            },
          ]
        : []
    })
    const references = fields
      .filter(([, , , , , rest]) => /@relation\(.*fields:/.test(rest))
      .map(([, , type, , , rest]) => {
        const [, own, theirs] = /fields: (\[.*?\]), references: (\[.*?\])/.exec(rest)
        return {
          name: `${table}_${list(own).map(column).join('_')}_fkey`,
          columns: list(own).map(column),
          table: mapped(models.find(({ name }) => name === type)),
          to: list(theirs),
        }
      })
    return { table, columns, indexes, references }
  })
}
