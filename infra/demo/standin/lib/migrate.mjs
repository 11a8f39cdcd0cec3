// Migrations: each step once, in its own transaction, remembered in the application's own table.
import { Broken } from './log.mjs'
import { sleep } from './process.mjs'

/** @typedef {{ id: string, sql: string }} Step */

/**
 * Where the steps are remembered: a table of the stand-in's own, or one with the application's columns.
 * @typedef {{ table: string, create: string, done: string, record: string }} Ledger `done` selects the ids, `record` takes one as $1
 */
const ledgerOf = ledger =>
  typeof ledger !== 'string'
    ? ledger
    : {
        table: ledger,
        create: `CREATE TABLE IF NOT EXISTS ${ledger} (id text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
        done: `SELECT id FROM ${ledger}`,
        record: `INSERT INTO ${ledger} (id) VALUES ($1)`,
      }

/** The steps of this image. STANDIN_EXTRA_MIGRATION adds one, as a newer release would. */
export function stepsOf(steps, env = process.env) {
  const extra = env.STANDIN_EXTRA_MIGRATION
  return extra
    ? [
        ...steps,
        {
          id: extra,
          sql: `CREATE TABLE IF NOT EXISTS "extra_${extra.replace(/\W/g, '_')}" (at timestamptz DEFAULT now())`,
        },
      ]
    : steps
}

/**
 * The steps that a database has not had yet; all of them when it has no table of migrations.
 * @param {import('pg').Pool} pool
 * @param {string | Ledger} ledger
 * @param {Step[]} steps
 */
export async function pending(pool, ledger, steps) {
  const { table, done: select } = ledgerOf(ledger)
  const {
    rows: [{ there }],
  } = await pool.query('SELECT to_regclass($1) IS NOT NULL AS there', [table])
  if (!there) return steps
  const { rows } = await pool.query(select)
  const done = new Set(rows.map(({ id }) => id))
  return steps.filter(({ id }) => !done.has(id))
}

/**
 * Brings the database to the last step. Upstream has no lock between two that migrate: the second one collides.
 * @param {{ pool: import('pg').Pool, table: string | Ledger, steps: Step[], seconds: number, faults: Map<string, number>, log: { info: Function } }} what
 * @returns {Promise<number>} how many steps were new
 */
export async function migrate({ pool, table: ledger, steps, seconds, faults, log }) {
  const { table, create, record } = ledgerOf(ledger)
  const client = await pool.connect()
  try {
    const {
      rows: [{ mine }],
    } = await client.query('SELECT pg_try_advisory_lock(hashtext($1)) AS mine', [table])
    if (!mine)
      throw new Broken(
        `migration failed: relation "${table}" already exists; something else migrates at the same moment`,
      )
    await client.query(create)
    const open = await pending(pool, ledger, steps)
    const stopAt = faults.has('migrate-fail') ? Math.floor(open.length / 2) : -1
    if (stopAt === 0) throw new Broken('migration failed: STANDIN_FAULT=migrate-fail')
    for (const [index, { id, sql }] of open.entries()) {
      if (index === stopAt) throw new Broken(`migration ${id} failed: STANDIN_FAULT=migrate-fail`)
      await sleep((seconds * 1000) / steps.length)
      await client.query('BEGIN')
      await client.query(sql)
      await client.query(record, [id])
      await client.query('COMMIT')
      log.info('migrated', { migration: id })
    }
    return open.length
  } finally {
    client.release(true)
  }
}
