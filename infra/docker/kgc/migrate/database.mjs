// What the database says of itself, and the table in which the schema's version stands. It is in a PostgreSQL schema of its own: `db push`
// looks at the one of the connection alone.
import pg from 'pg'

const table = 'kgc_stack.schema_versions'

/**
 * What was done: begun: an empty database is being filled; asked: a person wants a push; filled: both are done, but not yet compared;
 * pushed, migrated: it was brought to this version; kept: a person has left it as it is.
 * @typedef {'begun' | 'asked' | 'filled' | 'pushed' | 'migrated' | 'kept'} How
 */

/** Prisma's own table, word by word (schema-engine/connectors/sql-schema-connector/src/flavour/postgres.rs). */
const book = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT,
    rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`

/** Calls `work` with the database of DATABASE_URL. */
export async function connect(work) {
  const url = new URL(process.env.DATABASE_URL)
  // the other words behind the question mark are Prisma's
  const schema = url.searchParams.get('schema')
  url.search = ''
  const client = new pg.Client({
    connectionString: url.href,
    connectionTimeoutMillis: 10_000,
    ...(schema ? { options: `-c search_path=${schema}` } : {}),
  })
  await client.connect()
  try {
    return await work(database(client))
  } finally {
    await client.end()
  }
}

function database(client) {
  const rows = async (sql, ...values) =>
    (await client.query(sql, values.length ? values : undefined)).rows
  const there = async name =>
    (await rows('SELECT to_regclass($1) IS NOT NULL AS there', name))[0].there
  const records = async () =>
    (await there(table)) ? rows(`SELECT checksum, how, at FROM ${table} ORDER BY id`) : []
  return {
    rows,
    /** One at a time migrates: held until the connection ends. */
    lock: () => rows("SELECT pg_advisory_lock(hashtext('kgc-migrate'))"),
    /** Makes our table: a person may be told to leave a row in it. */
    prepare: () =>
      rows(`CREATE SCHEMA IF NOT EXISTS kgc_stack; CREATE TABLE IF NOT EXISTS ${table}
        (id bigserial PRIMARY KEY, checksum text NOT NULL, how text NOT NULL, at timestamptz NOT NULL DEFAULT now())`),
    records,
    /** Whether the database was brought to a version, or left as it is for it. */
    has: async checksum =>
      (await records()).some(
        one => one.checksum === checksum && ['pushed', 'migrated', 'kept'].includes(one.how),
      ),
    /** Writes a row; one that would repeat the last is left out. */
    async record(checksum, /** @type {How} */ how) {
      const last = (await records()).at(-1)
      if (last?.checksum !== checksum || last.how !== how)
        await rows(`INSERT INTO ${table} (checksum, how) VALUES ($1, $2)`, checksum, how)
    },
    /** How many tables there are, without Prisma's own. */
    tables: async () =>
      (
        await rows(
          "SELECT count(*)::int AS n FROM pg_tables WHERE schemaname = current_schema() AND tablename <> '_prisma_migrations'",
        )
      )[0].n,
    /** The names of the migrations that were applied, and of those that failed; undefined without Prisma's table. A retried one has several rows. */
    async history() {
      if (!(await there('_prisma_migrations'))) return undefined
      const all = await rows(
        'SELECT migration_name AS name, finished_at, rolled_back_at FROM _prisma_migrations',
      )
      const standing = all.filter(one => !one.rolled_back_at)
      const names = done => [
        ...new Set(
          standing.filter(one => Boolean(one.finished_at) === done).map(({ name }) => name),
        ),
      ]
      return { applied: names(true), failed: names(false) }
    },
    /** Prisma makes its table on an empty database only. */
    openBook: () => rows(book),
    /** Runs all or nothing. */
    async together(work) {
      await client.query('BEGIN')
      await work().catch(error => client.query('ROLLBACK').then(() => Promise.reject(error)))
      await client.query('COMMIT')
    },
  }
}
