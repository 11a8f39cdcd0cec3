// Prisma's table of migrations, and the folder beside the datamodel.
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** schema-engine/connectors/sql-schema-connector/src/flavour/postgres.rs */
const table = `CREATE TABLE _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT,
  rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`

/** The migrations beside a schema, in order; a folder without its file is none. */
export function migrationsOf(schema) {
  const folder = join(dirname(schema), 'migrations')
  if (!existsSync(folder)) return []
  const all = readdirSync(folder)
    .sort()
    .map(id => ({ id, file: join(folder, id, 'migration.sql') }))
  return all
    .filter(({ file }) => existsSync(file))
    .map(({ id, file }) => ({ id, sql: readFileSync(file, 'utf8') }))
}

/** Its rows in order; undefined when the table is not there. */
export async function rowsOf(pool) {
  const {
    rows: [{ there }],
  } = await pool.query("SELECT to_regclass('_prisma_migrations') IS NOT NULL AS there")
  return there
    ? (await pool.query('SELECT * FROM _prisma_migrations ORDER BY started_at')).rows
    : undefined
}

export const openBook = pool => pool.query(table)

/** A row for a migration that begins; out: its id. */
export async function begin(pool, { id: name, sql }) {
  const id = randomUUID()
  await pool.query(
    'INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ($1, $2, $3)',
    [id, createHash('sha256').update(sql).digest('hex'), name],
  )
  return id
}
export const finish = (pool, id, steps) =>
  pool.query(
    'UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = $2 WHERE id = $1',
    [id, steps],
  )
export const rollBack = (pool, id) =>
  pool.query('UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = $1', [id])
export const isFailed = row => !row.finished_at && !row.rolled_back_at
