// Horilla's scheduler: exactly one may run; a row that it writes again and again shows that it lives.
import { Refusal } from '../../lib/log.mjs'
import { onStop, sleep } from '../../lib/process.mjs'
import { openClient } from '../../lib/stores.mjs'

const lock = `SELECT pg_try_advisory_lock(hashtext('django_apscheduler')) AS mine`

/** Works until it is stopped; a database that comes back is used again. */
export async function scheduler({ env, log, faults }, pool) {
  await pool.end()
  let client = await single(env.DATABASE_URL)
  let stopping = false
  onStop(() => { stopping = true; return client?.end() })
  log.info('scheduler started', { jobs: 3 })
  if (faults.has('hang')) return void setInterval(() => {}, 60_000)
  void (async () => {
    for (; !stopping; await sleep(3000)) {
      try {
        client ??= await single(env.DATABASE_URL)
        await client.query('INSERT INTO django_apscheduler_heartbeat VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = now()')
      } catch (error) {
        if (!stopping) log.warn('no heartbeat', { reason: error.message })
        client?.end().catch(() => {})
        client = undefined
      }
    }
  })()
}

/** A connection that holds the lock for as long as it lives. A predecessor that was killed is given some seconds to be noticed. */
async function single(connectionString) {
  const client = await openClient({ connectionString, query_timeout: 5000 })
  client.on('error', () => {})
  // PostgreSQL drops a session, and its lock, 5 s after its machine has gone
  await client.query('SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3')
  for (let tries = 0; tries < 8; tries++) {
    if ((await client.query(lock)).rows[0].mine) return client
    await sleep(1000)
  }
  await client.end()
  throw new Refusal('run_scheduler', 'another one runs on this database; there must be exactly one', '§2')
}
