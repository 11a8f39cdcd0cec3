// What brings a database to a datamodel, and what of it would lose data.

const q = name => `"${name}"`
const list = names => names.map(q).join(', ')
const define = ({ name, type, required, default: value }) =>
  `${q(name)} ${type}${required ? ' NOT NULL' : ''}${value === undefined ? '' : ` DEFAULT ${value}`}`

/** The tables of the connection's schema, without Prisma's own: the columns, and the indexes that are no primary key. */
async function describe(pool) {
  const { rows } =
    await pool.query(`SELECT table_name AS table, array_agg(column_name::text) AS columns FROM information_schema.columns JOIN pg_tables
    ON tablename = table_name AND schemaname = table_schema WHERE table_schema = current_schema() AND table_name <> '_prisma_migrations' GROUP BY 1 ORDER BY 1`)
  const { rows: indexes } =
    await pool.query(`SELECT t.relname AS table, c.relname AS name, i.indisunique AS unique, (SELECT array_agg(a.attname::text ORDER BY k.n)
      FROM unnest(i.indkey::int[]) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE NOT i.indisprimary AND t.relnamespace = current_schema()::regnamespace`)
  return new Map(
    rows.map(({ table, columns }) => [
      table,
      { columns, indexes: indexes.filter(one => one.table === table) },
    ]),
  )
}

/**
 * The steps, in Prisma's order and words; `drops` what may be lost, `adds` what rows may forbid. Policies, functions, triggers and views are not among
 * them: Prisma knows none. An index that the datamodel has not is dropped.
 */
export async function difference(pool, wanted) {
  const there = await describe(pool)
  const [sql, drops, adds] = [[], [], []]
  for (const { table, columns, indexes, references } of wanted) {
    const now = there.get(table)
    if (!now) {
      const keys = columns.filter(({ id }) => id).map(({ name }) => name)
      sql.push(
        `-- CreateTable\nCREATE TABLE ${q(table)} (\n${[...columns.map(define), `CONSTRAINT ${q(`${table}_pkey`)} PRIMARY KEY (${list(keys)})`].map(line => `    ${line}`).join(',\n')}\n);`,
      )
    } else {
      const gone = now.columns.filter(name => !columns.some(one => one.name === name))
      const fresh = columns.filter(({ name }) => !now.columns.includes(name))
      drops.push(...gone.map(column => ({ table, column })))
      adds.push(
        ...fresh
          .filter(one => one.required && one.default === undefined)
          .map(({ name }) => ({ table, column: name })),
      )
      if (gone.length + fresh.length)
        sql.push(
          `-- AlterTable\nALTER TABLE ${q(table)} ${[...gone.map(name => `DROP COLUMN ${q(name)}`), ...fresh.map(one => `ADD COLUMN     ${define(one)}`)].join(',\n')};`,
        )
      const same = (a, b) => a.unique === b.unique && String(a.columns) === String(b.columns)
      for (const index of now.indexes.filter(
        one =>
          !indexes.some(other => same(one, other)) &&
          !one.columns?.some(name => gone.includes(name)),
      ))
        sql.push(`-- DropIndex\nDROP INDEX ${q(index.name)};`)
    }
    const has = index =>
      now?.indexes.some(
        one => one.unique === index.unique && String(one.columns) === String(index.columns),
      )
    for (const index of indexes.filter(one => !has(one)))
      sql.push(
        `-- CreateIndex\nCREATE ${index.unique ? 'UNIQUE ' : ''}INDEX ${q(index.name)} ON ${q(table)}(${list(index.columns)});`,
      )
    if (!now)
      sql.push(
        ...references.map(
          one =>
            `-- AddForeignKey\nALTER TABLE ${q(table)} ADD CONSTRAINT ${q(one.name)} FOREIGN KEY (${list(one.columns)}) REFERENCES ${q(one.table)}(${list(one.to)}) ON DELETE RESTRICT ON UPDATE CASCADE;`,
        ),
      )
  }
  for (const table of [...there.keys()].filter(name => !wanted.some(one => one.table === name))) {
    drops.push({ table })
    sql.push(`-- DropTable\nDROP TABLE ${q(table)};`)
  }
  // references come last, when all tables are there
  return {
    sql: [
      ...sql.filter(one => !/^-- AddForeignKey/.test(one)),
      ...sql.filter(one => /^-- AddForeignKey/.test(one)),
    ],
    drops,
    adds,
  }
}

/** What Prisma warns of, and what it cannot do (sql_destructive_change_checker/{warning_check,unexecutable_step_check}.rs): both ask for rows; what is empty goes without a word. */
export async function judge(pool, { drops, adds }) {
  const count = async (table, column = '*') =>
    Number(
      (await pool.query(`SELECT count(${column === '*' ? '*' : q(column)}) AS n FROM ${q(table)}`))
        .rows[0].n,
    )
  const warnings = []
  for (const { table, column } of drops) {
    const n = await count(table, column)
    if (n)
      warnings.push(
        column
          ? `You are about to drop the column \`${column}\` on the \`${table}\` table, which still contains ${n} non-null values.`
          : `You are about to drop the \`${table}\` table, which is not empty (${n} rows).`,
      )
  }
  const impossible = []
  for (const { table, column } of adds) {
    const n = await count(table)
    if (n)
      impossible.push(
        `Added the required column \`${column}\` to the \`${table}\` table without a default value. There are ${n} rows in this table, it is not possible to execute this step.`,
      )
  }
  return { warnings, impossible }
}
