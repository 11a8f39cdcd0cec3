// Prisma's commands, as strict as the real ones (packages/migrate/src/commands of prisma, schema-engine/commands/src/commands of its engines).
import { existsSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Broken, Refusal } from '../../lib/log.mjs'
import { sleep } from '../../lib/process.mjs'
import { openPool } from '../../lib/stores.mjs'
import { tablesOf } from './datamodel.mjs'
import { difference, judge } from './differ.mjs'
import { begin, finish, isFailed, migrationsOf, openBook, rollBack, rowsOf } from './history.mjs'

const say = text => console.log(text)
const failed = (code, text) => new Broken(`Error: ${code}\n\n${text}`)
const flag = { type: 'boolean' }
const text = { type: 'string' }

function optionsOf(rest, options) {
  try {
    const { values } = parseArgs({ args: rest, options: { schema: text, ...options } })
    return values
  } catch (error) {
    throw new Broken(`\n! unknown or unexpected option: ${error.message}`)
  }
}

/** Prisma's own places, from the working folder on (packages/internals/src/cli/getSchema.ts). */
function schemaOf(path) {
  const found = [path, 'schema.prisma', 'prisma/schema.prisma'].find(one => one && existsSync(one))
  if (!found || (path && found !== path))
    throw new Broken('Could not find Prisma Schema that is required for this command.')
  return found
}
const wanted = path => tablesOf(readFileSync(path, 'utf8'))

/** `db push`: the datamodel without any migration; what would lose rows is refused (DbPush.ts). */
async function push({ faults, contract, rest }, pool) {
  const values = optionsOf(rest, {
    'accept-data-loss': flag,
    'skip-generate': flag,
    'force-reset': flag,
  })
  if (values['accept-data-loss'] || values['force-reset'])
    throw new Refusal('--accept-data-loss', 'drops what the schema no longer has', '§6')
  if (!values['skip-generate'])
    throw new Broken('Error: EROFS: read-only file system: the client cannot be generated')
  if (faults.has('migrate-fail')) throw failed('P1014', 'STANDIN_FAULT=migrate-fail')
  const change = await difference(pool, wanted(schemaOf(values.schema)))
  const { warnings, impossible } = await judge(pool, change)
  if (impossible.length)
    throw new Broken(
      `\n⚠️ We found changes that cannot be executed:\n\n${impossible.map(one => `  • ${one}`).join('\n')}\n\nYou may use the --force-reset flag to drop the database before push like prisma db push --force-reset\nAll data will be lost.`,
    )
  if (warnings.length)
    throw new Broken(
      `\n⚠️  There might be data loss when applying the changes:\n\n${warnings.map(one => `  • ${one}\n`).join('\n')}\nError: Use the --accept-data-loss flag to ignore the data loss warnings like prisma db push --accept-data-loss`,
    )
  await sleep(contract.migration.seconds * 1000)
  for (const sql of change.sql) await pool.query(sql)
  say(
    change.sql.length
      ? 'Your database is now in sync with your Prisma schema.'
      : 'The database is already in sync with the Prisma schema.',
  )
}

/** `migrate deploy` (MigrateDeploy.ts, apply_migrations.rs). */
async function deploy({ contract, faults, rest }, pool) {
  const migrations = migrationsOf(schemaOf(optionsOf(rest, {}).schema))
  say(
    migrations.length
      ? `${migrations.length} migrations found in prisma/migrations`
      : 'No migration found in prisma/migrations',
  )
  if (!(await rowsOf(pool))) {
    const {
      rows: [{ n }],
    } = await pool.query(
      'SELECT count(*)::int AS n FROM pg_class WHERE relnamespace = current_schema()::regnamespace',
    )
    if (n)
      throw failed(
        'P3005',
        'The database schema is not empty. Read more about how to baseline an existing production database: https://pris.ly/d/migrate-baseline',
      )
    await openBook(pool)
  }
  const rows = await rowsOf(pool)
  if (rows.some(isFailed))
    throw failed(
      'P3009',
      `migrate found failed migrations in the target database, new migrations will not be applied. Read more about how to resolve migration issues in a production database: https://pris.ly/d/migrate-resolve
${rows
  .filter(isFailed)
  .map(
    one =>
      `The \`${one.migration_name}\` migration started at ${one.started_at.toISOString()} failed`,
  )
  .join('\n')}`,
    )
  const open = migrations.filter(
    ({ id }) => !rows.some(one => one.migration_name === id && !one.rolled_back_at),
  )
  if (!open.length) return say('No pending migrations to apply.')
  for (const one of open) {
    await sleep((contract.migration.seconds * 1000) / open.length)
    if (faults.has('migrate-fail')) throw failed('P1001', `${one.id}: STANDIN_FAULT=migrate-fail`)
    say(`Applying migration \`${one.id}\``)
    const row = await begin(pool, one)
    await pool.query(one.sql).catch(error => {
      const code = error.code ? `\n\nDatabase error code: ${error.code}` : ''
      throw failed(
        'P3018',
        `A migration failed to apply. New migrations cannot be applied before the error is recovered from. Read more about how to resolve migration issues in a production database: https://pris.ly/d/migrate-resolve

Migration name: ${one.id}${code}\n\nDatabase error:\nERROR: ${error.message}`,
      )
    })
    await finish(pool, row, 1)
  }
  say('All migrations have been successfully applied.')
}

/** `migrate resolve` (MigrateResolve.ts, mark_migration_applied.rs, mark_migration_rolled_back.rs). */
async function resolve({ rest }, pool) {
  const {
    schema,
    applied,
    'rolled-back': back,
  } = optionsOf(rest, { applied: text, 'rolled-back': text })
  if (Boolean(applied) === Boolean(back))
    throw new Broken(
      applied
        ? 'Pass either --applied or --rolled-back, not both.'
        : '--applied or --rolled-back must be part of the command',
    )
  const name = applied ?? back
  const migration = migrationsOf(schemaOf(schema)).find(({ id }) => id === name)
  if (applied && !migration)
    throw failed(
      'P3017',
      `The migration ${name} could not be found. Please make sure that the migration exists, and that you included the whole name of the directory. (example: "20201231000000_initial_migration")`,
    )
  const rows = (await rowsOf(pool))?.filter(one => one.migration_name === name)
  if (applied) {
    // here alone the table is made on a database that is not empty
    if (!rows) await openBook(pool)
    if (rows?.some(one => one.finished_at))
      throw failed(
        'P3008',
        `The migration \`${name}\` is already recorded as applied in the database.`,
      )
    for (const row of rows?.filter(isFailed) ?? []) await rollBack(pool, row.id)
    await finish(pool, await begin(pool, migration), 0)
    return say(`Migration ${name} marked as applied.`)
  }
  if (!rows?.length)
    throw failed(
      'P3011',
      `Migration \`${name}\` cannot be rolled back because it was never applied to the database. Hint: did you pass in the whole migration name? (example: "20201231000000_initial_migration")`,
    )
  if (!rows.some(isFailed))
    throw failed(
      'P3012',
      `Migration \`${name}\` cannot be rolled back because it is not in a failed state.`,
    )
  for (const row of rows.filter(isFailed)) await rollBack(pool, row.id)
  say(`Migration ${name} marked as rolled back.`)
}

/**
 * `migrate status`, as strict and as lenient as Prisma (MigrateStatus.ts, diagnose_migration_history.rs): it ends with 1 while the database lacks a row of
 * this image's, or any row at all is of a migration that failed; rows that this image does not know are fine, and one that was rolled back counts as had.
 */
async function status({ rest }, pool) {
  const rows = await rowsOf(pool)
  const migrations = migrationsOf(schemaOf(optionsOf(rest, {}).schema))
  if (!rows?.length) throw new Broken('The current database is not managed by Prisma Migrate.')
  const open = migrations.filter(({ id }) => !rows.some(one => one.migration_name === id))
  if (open.length)
    throw new Broken(
      `Following migrations have not yet been applied:\n${open.map(({ id }) => id).join('\n')}`,
    )
  const bad = rows.filter(isFailed).map(one => one.migration_name)
  if (bad.length)
    throw new Broken(
      `Following migration${bad.length > 1 ? 's' : ''} have failed:\n${bad.join('\n')}\n\nThe failed migration(s) can be marked as rolled back or applied`,
    )
  say('Database schema is up to date!')
}

/** `migrate diff` from the database to a datamodel (MigrateDiff.ts): 2 with --exit-code when they differ. */
async function diff({ rest }, pool) {
  const values = optionsOf(rest, {
    'from-schema-datasource': text,
    'to-schema-datamodel': text,
    script: flag,
    'exit-code': flag,
  })
  if (!values['from-schema-datasource'] || !values['to-schema-datamodel'])
    throw new Broken('Must pass exactly one of --from-… and one of --to-…')
  const { sql } = await difference(pool, wanted(schemaOf(values['to-schema-datamodel'])))
  if (values.script) say(sql.join('\n\n') || '-- This is an empty migration.')
  else say(sql.length ? '[*] Changed' : 'No difference detected.')
  if (values['exit-code'] && sql.length) throw Object.assign(new Broken(''), { exitCode: 2 })
}

/** They need the database and nothing else. */
const withPool = work => async context => {
  const pool = openPool({ connectionString: context.env.DATABASE_URL }, context.log)
  try {
    await work(context, pool)
  } finally {
    await pool.end()
  }
}

export const commands = {
  push: withPool(push),
  deploy: withPool(deploy),
  resolve: withPool(resolve),
  status: withPool(status),
  diff: withPool(diff),
}
