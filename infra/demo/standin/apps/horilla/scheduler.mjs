// Horilla's scheduler: exactly one may run. Each job's row says when it is due; one is due every minute
// (employee/scheduler.py: block_unblock_disciplinary), the rest daily.
import { Refusal } from '../../lib/log.mjs'
import { onStop, sleep } from '../../lib/process.mjs'
import { openClient } from '../../lib/stores.mjs'

const lock = `SELECT pg_try_advisory_lock(hashtext('django_apscheduler')) AS mine`

const jobs = [
  ['employee.scheduler.block_unblock_disciplinary', '60 s'],
  ['leave.scheduler.leave_reset', '1 day'],
  ['payroll.scheduler.auto_payslip_generate', '1 day'],
]
/** A job that is due runs, and is due again later. */
const due = `INSERT INTO django_apscheduler_djangojob VALUES ($1, now() + $2::interval, '')
  ON CONFLICT (id) DO UPDATE SET next_run_time = now() + $2::interval WHERE django_apscheduler_djangojob.next_run_time <= now()`

/** Works until it is stopped; a database that comes back is used again. */
export async function scheduler({ env, log, faults }, pool) {
  await pool.end()
  let client = await single(env.DATABASE_URL)
  let stopping = false
  onStop(() => {
    stopping = true
    return client?.end()
  })
  log.info('scheduler started', { jobs: jobs.length })
  if (faults.has('hang')) return void setInterval(() => {}, 60_000)
  void (async () => {
    for (; !stopping; await sleep(3000)) {
      try {
        client ??= await single(env.DATABASE_URL)
        for (const [id, every] of jobs) await client.query(due, [id, every])
      } catch (error) {
        if (!stopping) log.warn('no job run', { reason: error.message })
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
  await client.query(
    'SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3',
  )
  for (let tries = 0; tries < 8; tries++) {
    if ((await client.query(lock)).rows[0].mine) return client
    await sleep(1000)
  }
  await client.end()
  throw new Refusal(
    'run_scheduler',
    'another one runs on this database; there must be exactly one',
    '§2',
  )
}
