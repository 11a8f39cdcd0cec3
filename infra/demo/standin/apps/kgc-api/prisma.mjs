// Prisma's commands, as far as KGC's migration needs them.
import { readFileSync, readdirSync } from 'node:fs'
import { Broken, Refusal } from '../../lib/log.mjs'
import { stepsOf } from '../../lib/migrate.mjs'
import { sleep } from '../../lib/process.mjs'

const folder = '/app/prisma/migrations'
const read = path => readFileSync(path, 'utf8')
const say = text => console.log(text)

/** The folders under prisma/migrations, in order; STANDIN_EXTRA_MIGRATION adds one. */
const steps = env => stepsOf(readdirSync(folder).sort().map(id => ({ id, sql: read(`${folder}/${id}/migration.sql`) })), env)

/** A migration's state by its name. */
async function states(pool) {
  const { rows: [{ there }] } = await pool.query("SELECT to_regclass('_prisma_migrations') IS NOT NULL AS there")
  if (!there) return new Map()
  await book(pool)
  const { rows } = await pool.query(`SELECT migration_name, CASE WHEN rolled_back_at IS NOT NULL THEN 'rolled back'
    WHEN finished_at IS NOT NULL THEN 'applied' ELSE 'failed' END AS state, started_at FROM _prisma_migrations`)
  return new Map(rows.map(({ migration_name: name, state, started_at: started }) => [name, { state, started }]))
}

const book = pool =>
  pool.query(`CREATE TABLE IF NOT EXISTS _prisma_migrations (
    migration_name text PRIMARY KEY, started_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz);
    ALTER TABLE _prisma_migrations ADD COLUMN IF NOT EXISTS rolled_back_at timestamptz`)

const record = (pool, id, done) =>
  pool.query(
    `INSERT INTO _prisma_migrations (migration_name, finished_at) VALUES ($1, CASE WHEN $2 THEN now() END)
     ON CONFLICT (migration_name) DO UPDATE SET finished_at = EXCLUDED.finished_at, rolled_back_at = NULL`, [id, done])

/** `migrate deploy`: the new migrations, in order. On an empty database the first one fails, because there is no baseline. */
export async function deploy({ env, contract, faults }, pool) {
  const known = await states(pool)
  const [failed, { started } = {}] = [...known].find(([, { state }]) => state === 'failed') ?? []
  if (failed)
    throw new Broken(`Error: P3009\n\nmigrate found failed migrations in the target database, new migrations will not be applied.
The \`${failed}\` migration started at ${started.toISOString()} failed`)
  const open = steps(env).filter(({ id }) => known.get(id)?.state !== 'applied')
  if (!open.length) return say('No pending migrations to apply.')
  await book(pool)
  for (const { id, sql } of open) {
    await sleep((contract.migration.seconds * 1000) / open.length)
    if (faults.has('migrate-fail')) throw new Broken(`Error: P1001\n\n${id}: STANDIN_FAULT=migrate-fail`)
    await record(pool, id, false)
    try {
      await pool.query(sql)
    } catch (error) {
      const code = error.code ? `\n\nDatabase error code: ${error.code}` : ''
      throw new Broken(`Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is recovered from.

Migration name: ${id}${code}\n\nDatabase error:\nERROR: ${error.message}`)
    }
    await record(pool, id, true)
    say(`Applying migration \`${id}\``)
  }
  say('All migrations have been successfully applied.')
}

/** `db push`: the schema without any migration. */
export async function push({ faults, rest }, pool) {
  if (rest.includes('--accept-data-loss')) throw new Refusal('--accept-data-loss', 'drops what the schema no longer has', '§6')
  const unknown = rest.filter(word => word !== '--skip-generate')
  if (unknown.length) throw new Broken(`unknown or unexpected option: ${unknown.join(' ')}`)
  if (faults.has('migrate-fail')) throw new Broken('Error: P1014\n\nSTANDIN_FAULT=migrate-fail')
  await pool.query(read('/app/prisma/schema.sql'))
  say('Your database is now in sync with your Prisma schema.')
}

/** `migrate resolve --applied NAME`: marks without running. */
export async function resolve({ env, rest: [id] }, pool) {
  if (!steps(env).some(step => step.id === id)) throw new Broken(`Error: P3017\n\nThe migration ${id} could not be found.`)
  if ((await states(pool)).get(id)?.state === 'applied') throw new Broken(`Error: P3008\n\nThe migration \`${id}\` is already recorded as applied in the database.`)
  await book(pool)
  await record(pool, id, true)
  say(`Migration ${id} marked as applied.`)
}

/** `migrate resolve --rolled-back NAME`: a migration that failed is marked, so that the next `deploy` runs it again. */
export async function forget({ rest: [id] }, pool) {
  if ((await states(pool)).get(id)?.state !== 'failed') throw new Broken(`Error: P3012\n\nMigration \`${id}\` cannot be rolled back because it is not in a failed state.`)
  await pool.query('UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = $1', [id])
  say(`Migration ${id} marked as rolled back.`)
}

/**
 * `migrate status`, as strict and as lenient as Prisma (MigrateStatus.ts, diagnose_migration_history.rs): it ends with 1 while the database lacks a row of
 * this image's, or any row at all is of a migration that failed; rows that this image does not know are fine, and one that was rolled back counts as had.
 */
export async function status({ env }, pool) {
  const known = await states(pool)
  const open = steps(env).filter(({ id }) => !known.has(id))
  if (!known.size) throw new Broken('The current database is not managed by Prisma Migrate.')
  if (open.length) throw new Broken(`Following migrations have not yet been applied:\n${open.map(({ id }) => id).join('\n')}`)
  const failed = [...known].filter(([, { state }]) => state === 'failed').map(([name]) => name)
  if (failed.length) throw new Broken(`Following migration${failed.length > 1 ? 's' : ''} have failed:\n${failed.join('\n')}\n\nThe failed migration(s) can be marked as rolled back or applied`)
  say('Database schema is up to date!')
}
