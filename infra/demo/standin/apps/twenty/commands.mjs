// Twenty's commands.
import { Broken } from '../../lib/log.mjs'
import { migrate, pending, stepsOf } from '../../lib/migrate.mjs'
import { start } from '../../lib/process.mjs'
import { server } from './server.mjs'
import { createDatabase, demandKey, migrations, open, rotateKey, steps } from './stores.mjs'
import { worker } from './worker.mjs'

/** What the image's entrypoint does before the command: migrate and register cron jobs, unless told not to. */
async function entrypoint(context) {
  const { env, log } = context
  if (env.DISABLE_DB_MIGRATIONS !== 'true') {
    await createDatabase(context)
    await upgrade(context)
  }
  if (env.DISABLE_CRON_JOBS_REGISTRATION !== 'true') await cron(context)
  log.info('entrypoint done')
}

async function upgrade(context) {
  const { env, log, contract, faults } = context
  const { pool, redis } = await open(context)
  try {
    await pool.query('CREATE SCHEMA IF NOT EXISTS core')
    await migrate({
      pool,
      table: migrations,
      steps: stepsOf(steps, env),
      seconds: contract.migration.seconds,
      faults,
      log,
    })
    await demandKey(pool, env, { first: true })
    log.info('Successfully migrated DB!')
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    // upstream goes on with half a schema and looks healthy (#23012)
    log.error(`Upgrade completed with errors: ${error.message}`)
  } finally {
    await pool.end()
    await redis.quit()
  }
}

async function cron(context) {
  const { redis, pool } = await open(context)
  await redis.hSet('bull:cron-queue:repeat', {
    'calendar-sync': '*/5 * * * *',
    'messaging-sync': '*/5 * * * *',
  })
  context.log.info('Successfully registered all background sync jobs!')
  await redis.quit()
  await pool.end()
}

async function flush(context) {
  const { redis } = await open(context)
  const keys = await redis.keys('engine:*')
  if (keys.length) await redis.del(keys)
  context.log.info('cache flushed', { keys: keys.length })
}

async function rotate(context) {
  const { pool } = await open(context)
  await rotateKey(pool, context.env)
  context.log.info('secrets are encrypted with the current key')
}

/** Starts what runs for long; half a schema is no reason for upstream not to start. */
const lasting = work => async context => {
  await start(context)
  const stores = await open(context)
  const all = stepsOf(steps, context.env)
  const missing = await pending(stores.pool, migrations, all)
  if (missing.length === all.length)
    throw new Broken('relation "core.workspace" does not exist: the database was never migrated')
  await demandKey(stores.pool, context.env).catch(error => {
    if (error.code !== '42P01') throw error
  })
  await work(context, stores)
  return true
}

export const commands = {
  entrypoint,
  upgrade,
  cron,
  flush,
  rotate,
  migrate: async context => {
    await createDatabase(context)
    await upgrade(context)
  },
  server: lasting(server),
  worker: lasting(worker),
}
