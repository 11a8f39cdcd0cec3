// Twenty's database and Redis, and what it keeps there.
import { createHash } from 'node:crypto'
import { demandEviction } from '../../lib/demands.mjs'
import { Broken, Refusal } from '../../lib/log.mjs'
import { openPool, openRedis } from '../../lib/stores.mjs'

/**
 * Where 2.x writes its upgrade commands, with upstream's columns (engine/core-modules/upgrade/upgrade-migration.entity.ts). Rows with
 * isInitial say where a workspace was made, not what ran. `core._typeorm_migrations` is frozen: historical rows alone (core.datasource.ts).
 */
export const migrations = {
  table: 'core."upgradeMigration"',
  create: `CREATE TABLE IF NOT EXISTS core."upgradeMigration" (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar NOT NULL, status varchar NOT NULL,
    attempt integer NOT NULL DEFAULT 1, "executedByVersion" varchar NOT NULL, "errorMessage" text, "isInitial" boolean NOT NULL DEFAULT false,
    "workspaceId" uuid, "createdAt" timestamptz NOT NULL DEFAULT now())`,
  done: `SELECT name AS id FROM core."upgradeMigration" WHERE NOT "isInitial" AND status = 'completed'`,
  record: `INSERT INTO core."upgradeMigration" (name, status, "executedByVersion") VALUES ($1, 'completed', '2.45.6')`,
}

const id = 'id uuid PRIMARY KEY DEFAULT gen_random_uuid()'
const at = 'timestamptz DEFAULT now()'
const table = (name, columns) => `CREATE TABLE core.${name} (${columns})`
export const steps = [
  {
    id: '1690000000000-legacy',
    sql: `${table('_typeorm_migrations', 'id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL')};
    INSERT INTO core._typeorm_migrations ("timestamp", name) VALUES (1700140427984, 'SetupMetadataTables1700140427984')`,
  },
  {
    id: '1700000000000-workspace',
    sql: table(
      'workspace',
      `${id}, display_name text DEFAULT '', activation_status text DEFAULT 'PENDING_CREATION'`,
    ),
  },
  {
    id: '1710000000000-user',
    sql: table(
      '"user"',
      `${id}, email text UNIQUE NOT NULL, password text NOT NULL, can_access_full_admin_panel boolean NOT NULL`,
    ),
  },
  {
    id: '1715000000000-token',
    sql: table(
      'token',
      `hash text PRIMARY KEY, kind text NOT NULL, user_id uuid REFERENCES core."user", created_at ${at}`,
    ),
  },
  {
    id: '1716000000000-user-workspace',
    sql: table(
      'user_workspace',
      'user_id uuid REFERENCES core."user", workspace_id uuid REFERENCES core.workspace, PRIMARY KEY (user_id, workspace_id)',
    ),
  },
  {
    id: '1720000000000-person',
    sql: table(
      'person',
      `${id}, first_name text NOT NULL, last_name text NOT NULL, created_at ${at}`,
    ),
  },
  {
    id: '1730000000000-webhook',
    sql: table(
      'webhook',
      `${id}, target_url text NOT NULL, secret text NOT NULL, operations text[] NOT NULL`,
    ),
  },
  {
    id: '1740000000000-job',
    sql: table(
      'job',
      `queue text, id text, name text, result text, done_at ${at}, PRIMARY KEY (queue, id)`,
    ),
  },
  {
    id: '1750000000000-encryption',
    sql: table('encryption', `fingerprint text PRIMARY KEY, since ${at}`),
  },
]

/** @returns {{ pool: import('pg').Pool, redis: object }} both connected, and Redis known to keep what it is given */
export async function open({ contract, role, env, log }) {
  const pool = openPool({ connectionString: env.PG_DATABASE_URL }, log)
  const redis = await openRedis({ url: env.REDIS_URL }, log)
  await demandEviction(contract, role, redis)
  return { pool, redis }
}

/** Makes the database when the server has none of that name, as the entrypoint does. */
export async function createDatabase({ env, log }) {
  const pool = openPool({ connectionString: env.PG_DATABASE_URL }, log)
  try {
    await pool.query('SELECT 1')
  } catch (error) {
    if (error.code !== '3D000') throw new Broken(`database: ${error.message}`)
    const url = new URL(env.PG_DATABASE_URL)
    const name = url.pathname.slice(1)
    url.pathname = '/postgres'
    const other = openPool({ connectionString: url.href }, log)
    await other.query(`CREATE DATABASE "${name}"`)
    log.info('database created', { name })
    await other.end()
  }
  await pool.end()
}

/** What can be read again only with the same key. */
const fingerprint = key => createHash('sha256').update(`twenty:${key}`).digest('hex')

/**
 * Refuses a key other than the one that the database's secrets were written with.
 * @param {{ first?: boolean }} options `first`: the server, on a database without secrets, settles the key
 */
export async function demandKey(pool, env, { first = false } = {}) {
  const settle =
    'INSERT INTO core.encryption (fingerprint) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM core.encryption)'
  if (first) await pool.query(settle, [fingerprint(env.ENCRYPTION_KEY)])
  const { rows } = await pool.query('SELECT fingerprint FROM core.encryption')
  const readable = [env.ENCRYPTION_KEY, env.FALLBACK_ENCRYPTION_KEY]
    .filter(Boolean)
    .map(fingerprint)
  if (rows.length && !readable.includes(rows[0].fingerprint))
    throw new Refusal(
      'ENCRYPTION_KEY',
      'not the key that the stored secrets were encrypted with; it must be the same in server and worker',
      '§3.1',
    )
}

/** Online rotation: what was readable with the fallback is written with the new key. */
export async function rotateKey(pool, env) {
  await demandKey(pool, env)
  await pool.query('UPDATE core.encryption SET fingerprint = $1, since = now()', [
    fingerprint(env.ENCRYPTION_KEY),
  ])
}

/** Puts a job where BullMQ would: its data under its own key, its id in the list of those that wait; both or neither. */
export async function enqueue(redis, queue, name, data) {
  const id = String(await redis.incr(`bull:${queue}:id`))
  await redis
    .multi()
    .hSet(`bull:${queue}:${id}`, {
      name,
      data: JSON.stringify(data),
      timestamp: String(Date.now()),
    })
    .lPush(`bull:${queue}:wait`, id)
    .exec()
  return id
}
