// Chatwoot's commands.
import { randomBytes } from 'node:crypto'
import { Broken } from '../../lib/log.mjs'
import { migrate, pending, stepsOf } from '../../lib/migrate.mjs'
import { start } from '../../lib/process.mjs'
import { runner } from './runner.mjs'
import { monitor, sidekiq } from './sidekiq.mjs'
import {
  createExtensions,
  demandKeys,
  migrations,
  onboarding,
  open,
  openDatabase,
  steps,
} from './stores.mjs'
import { web } from './web.mjs'

/** First install and every upgrade: extensions, schema; on a new database also the flag that opens the onboarding to the public. */
async function prepare(context) {
  const { env, log, contract, faults } = context
  const { pool, redis } = await open(context)
  const all = stepsOf(steps, env)
  const first = (await pending(pool, migrations, all)).length === all.length
  await createExtensions(pool, contract)
  const count = await migrate({
    pool,
    table: migrations,
    steps: all,
    seconds: contract.migration.seconds,
    faults,
    log,
  })
  await demandKeys(pool, env, { first: true })
  if (first) await redis.set(onboarding, 'true')
  log.info('database prepared', { migrations: count, onboarding: first ? 'open' : 'unchanged' })
}

/** Starts what runs for long, on a database that is migrated and was written with these keys. */
const lasting = work => async context => {
  await start(context)
  const stores = await open(context)
  const missing = await pending(stores.pool, migrations, stepsOf(steps, context.env))
  if (missing.length)
    throw new Broken(
      `ActiveRecord::PendingMigrationError: ${missing.length} migrations are pending; run bundle exec rails db:chatwoot_prepare`,
    )
  await demandKeys(stores.pool, context.env)
  await work(context, stores)
  return true
}

/** Rails' own task: fails while a migration of this image has not run. */
async function pendingMigrations(context) {
  const pool = await openDatabase(context)
  const missing = await pending(pool, migrations, stepsOf(steps, context.env))
  if (missing.length)
    throw new Broken(
      `You have ${missing.length} pending migrations:\n${missing.map(({ id }) => id).join('\n')}\nRun \`bin/rails db:migrate\` to update your database then try again.`,
    )
}

/** Three new keys, as Rails prints them. */
function encryptionInit() {
  const key = () => randomBytes(48).toString('base64').replace(/[+/=]/g, '').slice(0, 32)
  console.log(
    `active_record_encryption:\n  primary_key: ${key()}\n  deterministic_key: ${key()}\n  key_derivation_salt: ${key()}`,
  )
}

export const commands = {
  prepare,
  encryptionInit,
  pendingMigrations,
  web: lasting(web),
  sidekiq: lasting(sidekiq),
  runner: async context => runner(context, await open(context)),
  sidekiqmon: async context => monitor(context, await open(context)),
  check: () => console.log("The Gemfile's dependencies are satisfied"),
}
