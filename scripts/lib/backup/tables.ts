// What tables.sql prints, a line a table: name, rows, checksum. Pure.

/** A table as it was counted. */
export interface CountedTable {
  name: string
  rows: number
  checksum: string
}

export const parseTables = (text: string): CountedTable[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map(line => line.split('\t'))
    .map(([name = '', rows = '', checksum = '']) => ({ name, rows: Number(rows), checksum }))

export const sumRows = (tables: CountedTable[]): number =>
  tables.reduce((sum, { rows }) => sum + rows, 0)

/** How tables that were restored differ from those that were dumped, each by name. */
export function compareTables(dumped: CountedTable[], restored: CountedTable[]): string[] {
  const found = new Map(restored.map(table => [table.name, table]))
  const differing = dumped.flatMap(({ name, rows, checksum }) => {
    const other = found.get(name)
    if (!other) return [`${name} is missing`]
    if (other.rows !== rows) return [`${name} has ${other.rows} rows of ${rows}`]
    return other.checksum === checksum ? [] : [`${name} has other contents`]
  })
  const known = new Set(dumped.map(({ name }) => name))
  const added = restored.filter(({ name }) => !known.has(name))
  return [...differing, ...added.map(({ name }) => `${name} was not dumped`)]
}
