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

/** A migration's state by its name: true when it was applied, false when it failed half way. */
async function states(pool) {
  const { rows: [{ there }] } = await pool.query("SELECT to_regclass('_prisma_migrations') IS NOT NULL AS there")
  if (!there) return new Map()
  const { rows } = await pool.query('SELECT migration_name, finished_at IS NOT NULL AS done FROM _prisma_migrations')
  return new Map(rows.map(({ migration_name: name, done }) => [name, done]))
}

const book = pool =>
  pool.query(`CREATE TABLE IF NOT EXISTS _prisma_migrations (
    migration_name text PRIMARY KEY, started_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz)`)

const record = (pool, id, done) =>
  pool.query(
    `INSERT INTO _prisma_migrations (migration_name, finished_at) VALUES ($1, CASE WHEN $2 THEN now() END)
     ON CONFLICT (migration_name) DO UPDATE SET finished_at = EXCLUDED.finished_at`, [id, done])

/** `migrate deploy`: the new migrations, in order. On an empty database the first one fails, because there is no baseline. */
export async function deploy({ env, contract, faults }, pool) {
  const known = await states(pool)
  const failed = [...known].find(([, done]) => !done)?.[0]
  if (failed) throw new Broken(`Error: P3009\n\nmigrate found failed migrations in the target database: the \`${failed}\` migration failed`)
  const open = steps(env).filter(({ id }) => !known.has(id))
  if (!open.length) return say('No pending migrations to apply.')
  await book(pool)
  for (const { id, sql } of open) {
    await sleep((contract.migration.seconds * 1000) / open.length)
    if (faults.has('migrate-fail')) throw new Broken(`Error: P1001\n\n${id}: STANDIN_FAULT=migrate-fail`)
    await record(pool, id, false)
    try {
      await pool.query(sql)
    } catch (error) {
      throw new Broken(`Error: P3018\n\nA migration failed to apply. Migration name: ${id}\n\nDatabase error: ${error.message}`)
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
  if ((await states(pool)).get(id)) throw new Broken(`Error: P3008\n\nThe migration \`${id}\` is already recorded as applied in the database.`)
  await book(pool)
  await record(pool, id, true)
  say(`Migration ${id} marked as applied.`)
}

/** `migrate resolve --rolled-back NAME`: a migration that failed is forgotten, so that the next `deploy` runs it again. */
export async function forget({ rest: [id] }, pool) {
  const { rowCount } = await pool.query('DELETE FROM _prisma_migrations WHERE migration_name = $1 AND finished_at IS NULL', [id])
  if (!rowCount) throw new Broken(`Error: P3012\n\nMigration \`${id}\` cannot be rolled back because it is not in a failed state.`)
  say(`Migration ${id} marked as rolled back.`)
}

/** `migrate status`: ends with 1 while something is missing. */
export async function status({ env }, pool) {
  const known = await states(pool)
  const open = steps(env).filter(({ id }) => !known.get(id))
  if (open.length) throw new Broken(`Following migrations have not yet been applied:\n${open.map(({ id }) => id).join('\n')}`)
  say('Database schema is up to date!')
}
