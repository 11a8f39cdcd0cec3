// Chatwoot's database and Redis, and what it keeps there.
import { createHash, randomBytes, randomUUID, scryptSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { demandEviction } from '../../lib/demands.mjs'
import { Broken, Refusal } from '../../lib/log.mjs'
import { openPool, openRedis } from '../../lib/stores.mjs'

export const migrations = 'schema_migrations'

/** While this key is there, any visitor may make himself the first administrator. */
export const onboarding = 'alfred:CHATWOOT_INSTALLATION_ONBOARDING'

export const steps = [
  {
    id: '20200101000000',
    sql: 'CREATE TABLE accounts (id serial PRIMARY KEY, name text NOT NULL, locale text, created_at timestamptz DEFAULT now())',
  },
  {
    id: '20200201000000',
    sql: 'CREATE TABLE users (id serial PRIMARY KEY, email text UNIQUE NOT NULL, name text NOT NULL, encrypted_password text NOT NULL, type text, confirmed_at timestamptz, access_token text UNIQUE NOT NULL)',
  },
  {
    id: '20200301000000',
    sql: 'CREATE TABLE account_users (account_id int REFERENCES accounts, user_id int REFERENCES users, role text NOT NULL, PRIMARY KEY (account_id, user_id))',
  },
  {
    id: '20200401000000',
    sql: 'CREATE TABLE contacts (id serial PRIMARY KEY, account_id int NOT NULL REFERENCES accounts, name text NOT NULL, email text, phone_number text, created_at timestamptz DEFAULT now())',
  },
  {
    id: '20200501000000',
    sql: 'CREATE TABLE webhooks (id serial PRIMARY KEY, account_id int NOT NULL REFERENCES accounts, url text NOT NULL, subscriptions jsonb NOT NULL, secret text NOT NULL, UNIQUE (account_id, url))',
  },
  {
    id: '20250101000000',
    sql: 'CREATE TABLE article_embeddings (id serial PRIMARY KEY, term text NOT NULL, embedding vector(3))',
  },
  {
    id: '20260101000000',
    sql: 'CREATE TABLE standin_encryption (fingerprint text PRIMARY KEY, since timestamptz DEFAULT now())',
  },
  {
    id: '20260201000000',
    sql: 'CREATE TABLE standin_jobs (jid text PRIMARY KEY, queue text NOT NULL, class text NOT NULL, result text NOT NULL, done_at timestamptz DEFAULT now())',
  },
]

/** @returns {{ pool: import('pg').Pool, redis: object }} both connected, and Redis known to keep what it is given */
export async function open(context) {
  const { contract, role, env, log } = context
  const pool = await openDatabase(context)
  const redis = await openRedis({ url: env.REDIS_URL, password: env.REDIS_PASSWORD }, log)
  await demandEviction(contract, role, redis)
  return { pool, redis }
}

/** A pool of connections to the database, the first of which is there. */
export async function openDatabase({ env, log }) {
  demandOwnCode()
  const pool = openPool(
    {
      host: env.POSTGRES_HOST,
      port: Number(env.POSTGRES_PORT || 5432),
      user: env.POSTGRES_USERNAME,
      password: env.POSTGRES_PASSWORD,
      database: env.POSTGRES_DATABASE,
    },
    log,
  )
  await pool.query('SELECT 1').catch(error => {
    throw new Broken(`PG::ConnectionBad: ${error.message}`)
  })
  return pool
}

function demandOwnCode() {
  const over = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some(line => line.split(' ')[4] === '/app')
  if (over)
    throw new Refusal(
      '/app',
      'a mount lies over the code; after an upgrade the old code would run on, #11274',
      '§5',
    )
}

/** The migrations' extensions; a server without pgvector has none to create. */
export async function createExtensions(pool, { extensions }) {
  for (const name of extensions.names)
    await pool.query(`CREATE EXTENSION IF NOT EXISTS "${name}"`).catch(error => {
      throw new Broken(`rails aborted! PG::Error: ${error.message} (${extensions.section})`)
    })
}

/**
 * Refuses keys other than those that the encrypted columns were written with.
 * @param {{ first?: boolean }} options `first`: settles the keys of a database that has none
 */
export async function demandKeys(pool, env, { first = false } = {}) {
  const names = ['PRIMARY_KEY', 'DETERMINISTIC_KEY', 'KEY_DERIVATION_SALT'].map(
    name => `ACTIVE_RECORD_ENCRYPTION_${name}`,
  )
  const mine = createHash('sha256')
    .update(names.map(name => env[name]).join(':'))
    .digest('hex')
  if (first)
    await pool.query(
      'INSERT INTO standin_encryption (fingerprint) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM standin_encryption)',
      [mine],
    )
  const { rows } = await pool.query('SELECT fingerprint FROM standin_encryption')
  if (rows[0]?.fingerprint !== mine)
    throw new Refusal(
      'ACTIVE_RECORD_ENCRYPTION_*',
      'ActiveRecord::Encryption::Errors::Decryption: not the keys that this database was encrypted with',
      '§3.2',
    )
}

/** Like a bcrypt hash: salted, slow enough. */
export function hashPassword(password, salt = randomBytes(8).toString('hex')) {
  return `${salt}:${scryptSync(password, salt, 32, { N: 1024 }).toString('hex')}`
}

/** The jobs that the application makes, with the queue each goes to. */
const queues = { EventDispatcherJob: 'critical', WebhookJob: 'medium' }

/** Puts a job where Sidekiq's client would, in the form that ActiveJob gives it. */
export async function enqueue(redis, name, args) {
  const queue = queues[name]
  const now = Date.now() / 1000
  const job = {
    retry: true,
    queue,
    wrapped: name,
    class: 'ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper',
    args: [
      {
        job_class: name,
        job_id: randomUUID(),
        queue_name: queue,
        arguments: args,
        executions: 0,
        locale: 'en',
        enqueued_at: new Date().toISOString(),
      },
    ],
    jid: randomBytes(12).toString('hex'),
    created_at: now,
    enqueued_at: now,
  }
  await redis.multi().sAdd('queues', queue).lPush(`queue:${queue}`, JSON.stringify(job)).exec()
  return job.jid
}
