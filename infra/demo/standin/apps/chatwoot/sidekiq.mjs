// Sidekiq: real lists in Redis, a heartbeat, and jobs that survive the process.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { onStop, sleep } from '../../lib/process.mjs'
import { enqueue } from './stores.mjs'
import { deliver } from './webhook.mjs'

const version = '7.3.9'
const workOf = identity => `standin:work:${identity}`

/** Works until it is stopped; what it has in hand then goes back to its queue. */
export async function sidekiq({ contract, env, log, faults }, { pool, redis }) {
  const identity = `${hostname()}:${process.pid}:${randomBytes(6).toString('hex')}`
  const concurrency = Number(env.SIDEKIQ_CONCURRENCY || 10)
  const started = Date.now() / 1000
  const busy = new Map()
  let stopping = false

  const title = () =>
    (process.title = `sidekiq ${version} app [${busy.size} of ${concurrency} busy]${stopping ? ' stopping' : ''}`)
  title()
  log.info('sidekiq started', { identity, concurrency, queues: contract.queues })
  if (faults.has('hang')) return void setInterval(() => {}, 60_000)
  await takeBack(redis, identity, log)
  onStop(stop)
  void every(10_000, heartbeat)
  void every(5_000, requeueDue)
  void fetchLoop()

  /** Repeats `work` whatever becomes of Redis. */
  async function every(pause, work) {
    while (!stopping) {
      await work().catch(error => log.warn(`${work.name} failed`, { reason: error.message }))
      await sleep(pause)
    }
  }

  async function heartbeat() {
    const info = {
      hostname: hostname(),
      started_at: started,
      pid: process.pid,
      tag: 'app',
      concurrency,
      queues: contract.queues,
      labels: [],
      identity,
      version,
    }
    await redis
      .multi()
      .sAdd('processes', identity)
      .hSet(identity, {
        info: JSON.stringify(info),
        busy: String(busy.size),
        beat: String(Date.now() / 1000),
        rtt_us: '100',
        quiet: String(stopping),
        rss: '600000',
      })
      .expire(identity, 60)
      .exec()
    await takeBack(redis, identity, log)
  }

  /** What failed, or was meant for later, and whose time has come. */
  async function requeueDue() {
    for (const set of ['retry', 'schedule'])
      for (const text of await redis.zRangeByScore(set, '-inf', Date.now() / 1000))
        await redis
          .multi()
          .zRem(set, text)
          .lPush(`queue:${JSON.parse(text).queue}`, text)
          .exec()
  }

  async function fetchLoop() {
    while (!stopping) {
      const text = busy.size < concurrency ? await next().catch(lostRedis) : undefined
      if (text) void perform(text)
      else await sleep(300)
    }
  }

  /** Moves a job into this process' own list, where another finds it should this one die. */
  async function next() {
    for (const queue of contract.queues) {
      const text = await redis.lMove(`queue:${queue}`, workOf(identity), 'RIGHT', 'LEFT')
      if (text) return text
    }
  }

  /** The answer to a move may be lost though Redis moved: what is in the list and not in hand is put back. */
  async function lostRedis(error) {
    log.warn('Error fetching job', { reason: error.message })
    while (!stopping && !redis.isReady) await sleep(300)
    const mine = await redis.lRange(workOf(identity), 0, -1).catch(() => [])
    for (const text of mine.filter(text => !busy.has(text)))
      await putBack(redis, identity, text).catch(() => {})
  }

  async function perform(text) {
    const job = JSON.parse(text)
    busy.set(text, job)
    title()
    const start = Date.now()
    let failure
    const result = await work(job).catch(error => {
      failure = error
      return `failed: ${error.message}`
    })
    log[failure ? 'warn' : 'info']('job', {
      class: job.wrapped,
      queue: job.queue,
      jid: job.jid,
      result,
      ms: Date.now() - start,
    })
    while (!stopping && !(await finish(text, job, failure).catch(() => false))) await sleep(500)
    busy.delete(text)
    title()
  }

  async function work(job) {
    const result = await (jobs[job.wrapped] ?? unknown)(...job.args[0].arguments)
    await pool.query(
      'INSERT INTO standin_jobs (jid, queue, class, result) VALUES ($1, $2, $3, $4) ON CONFLICT (jid) DO UPDATE SET result = $4, done_at = now()',
      [job.jid, job.queue, job.wrapped, result],
    )
    return result
  }

  const jobs = {
    async EventDispatcherJob(event, contact) {
      const { rows } = await pool.query(
        'SELECT id, url, secret FROM webhooks WHERE account_id = $1 AND subscriptions ? $2',
        [contact.account.id, event],
      )
      for (const { url, secret } of rows)
        await enqueue(redis, 'WebhookJob', [{ url, secret, payload: { ...contact, event } }])
      return `${event} to ${rows.length} webhooks`
    },
    // upstream tries once and leaves no more than this line
    WebhookJob: hook =>
      deliver(hook, env).catch(error => {
        log.warn(`Exception: Invalid webhook URL ${hook.url} : ${error.message}`)
        return `dropped: ${error.message}`
      }),
  }
  const unknown = () => {
    throw new Error('uninitialized constant')
  }

  /** One job, one count, and out of the list of those in hand; a failed one waits as Sidekiq lets it: 15 s and longer each time. */
  async function finish(text, job, failure) {
    const day = new Date().toISOString().slice(0, 10)
    const all = redis
      .multi()
      .lRem(workOf(identity), 1, text)
      .incr('stat:processed')
      .incr(`stat:processed:${day}`)
    if (failure) {
      const tries = (job.retry_count ?? -1) + 1
      const again = {
        ...job,
        retry_count: tries,
        error_message: failure.message,
        error_class: 'StandardError',
        failed_at: job.failed_at ?? Date.now() / 1000,
      }
      all
        .incr('stat:failed')
        .incr(`stat:failed:${day}`)
        .zAdd(tries < 25 ? 'retry' : 'dead', {
          score: Date.now() / 1000 + tries ** 4 + 15,
          value: JSON.stringify(again),
        })
    }
    await all.exec()
    return true
  }

  async function stop() {
    stopping = true
    title()
    const end = Date.now() + 500
    while (busy.size && Date.now() < end) await sleep(20)
    for (const text of await redis.lRange(workOf(identity), 0, -1))
      await putBack(redis, identity, text)
    await redis.multi().sRem('processes', identity).del(identity).exec()
    log.info('bye', { requeued: busy.size })
  }
}

/** To the end of the queue that is served first. */
function putBack(redis, identity, text) {
  return redis
    .multi()
    .lRem(workOf(identity), 1, text)
    .rPush(`queue:${JSON.parse(text).queue}`, text)
    .exec()
}

/** The jobs of processes that are gone: those of this host (one Sidekiq a container), and those whose heartbeat has run out. */
async function takeBack(redis, identity, log) {
  for (const key of await redis.keys('standin:work:*')) {
    const other = key.slice(workOf('').length)
    const gone =
      other !== identity && (other.startsWith(`${hostname()}:`) || !(await redis.exists(other)))
    if (!gone) continue
    for (const text of await redis.lRange(key, 0, -1)) await putBack(redis, other, text)
    await redis.sRem('processes', other)
    log.warn('jobs of a lost process wait again', { process: other })
  }
}

/** `sidekiqmon`: what Redis knows. */
export async function monitor({ rest }, { redis }) {
  const count = async key => Number((await redis.get(key)) ?? 0)
  console.log(
    `---- Overview ----\n  Processed: ${await count('stat:processed')}\n     Failed: ${await count('stat:failed')}\n      Retry: ${await redis.zCard('retry')}`,
  )
  const processes = await redis.sMembers('processes')
  console.log(`---- Processes (${processes.length}) ----`)
  for (const identity of processes)
    console.log(`${identity} [app]\n  Busy: ${await redis.hGet(identity, 'busy')}`)
  if (rest.includes('processes')) return
  const queues = await redis.sMembers('queues')
  console.log(`---- Queues (${queues.length}) ----`)
  for (const queue of queues)
    console.log(`${queue.padEnd(30)} ${await redis.lLen(`queue:${queue}`)}`)
}
