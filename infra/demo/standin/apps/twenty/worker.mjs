// Twenty's worker: takes the jobs; it alone sends mail and webhooks.
import { createHmac, randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { BlockList } from 'node:net'
import { onStop, sleep } from '../../lib/process.mjs'
import { serveMetrics } from './metrics.mjs'

/** Seconds that a job belongs to the worker that took it; then it counts as stalled and waits again, as in BullMQ. */
const lease = 10

/** Works until it is stopped; a job under way is finished. One connection for each queue, named as BullMQ names it. */
export async function worker({ contract, env, log, faults }, { pool, redis }) {
  let stopping = false
  const busy = new Set()
  onStop(() => {
    stopping = true
    return Promise.allSettled(busy)
  })
  const key = (queue, name) => `bull:${queue}:${name}`
  log.info('worker started', { queues: contract.queues.length })
  // BullMQ's own settings of a queue: by them it is known before its first job
  for (const queue of contract.queues)
    await redis.hSet(key(queue, 'meta'), { 'opts.maxLenEvents': '10000' }).catch(() => {})
  await serveMetrics({ contract, env, log }, redis)
  if (faults.has('hang')) return void setInterval(() => {}, 60_000)
  for (const queue of contract.queues) void take(queue)
  setInterval(() => contract.queues.forEach(queue => rescue(queue).catch(() => {})), 5_000)

  async function take(queue) {
    let last = ''
    const client = redis.duplicate({ name: `bull:${Buffer.from(queue).toString('base64')}` })
    client.on('error', () => {})
    await client.connect().catch(() => {})
    while (!stopping) {
      try {
        const id = await client.blMove(key(queue, 'wait'), key(queue, 'active'), 'RIGHT', 'LEFT', 2)
        if (id) await finish(queue, id)
        last = ''
      } catch (error) {
        if (error.message !== last) log.warn('no job taken', { queue, reason: error.message })
        last = error.message
        await sleep(500)
      }
    }
  }

  async function finish(queue, id) {
    const work = handle(queue, id)
    busy.add(work)
    await work.finally(() => busy.delete(work))
  }

  async function handle(queue, id) {
    await redis.set(key(queue, `${id}:lock`), '1', { EX: lease })
    const { name = '', data = '{}' } = await redis.hGetAll(key(queue, id))
    const result = await (
      name === 'CallWebhookJob' ? sendWebhook(JSON.parse(data), env) : Promise.resolve('done')
    ).catch(error => `failed: ${error.message}`)
    await pool.query(
      `INSERT INTO core.job (queue, id, name, result) VALUES ($1, $2, $3, $4)
       ON CONFLICT (queue, id) DO UPDATE SET result = $4, done_at = now()`,
      [queue, id, name, result],
    )
    await redis
      .multi()
      .lRem(key(queue, 'active'), 1, id)
      .zAdd(key(queue, result.startsWith('failed') ? 'failed' : 'completed'), {
        score: Date.now(),
        value: id,
      })
      .del(key(queue, `${id}:lock`))
      .exec()
    log.info('job', { queue, id, name, result })
  }

  /** What was in the hands of a worker that died, or that lost its database, waits again. */
  async function rescue(queue) {
    for (const id of await redis.lRange(key(queue, 'active'), 0, -1)) {
      if (await redis.exists(key(queue, `${id}:lock`))) continue
      const [removed] = await redis
        .multi()
        .lRem(key(queue, 'active'), 1, id)
        .rPush(key(queue, 'wait'), id)
        .exec()
      if (removed) log.warn('stalled job waits again', { queue, id })
    }
  }
}

/** Posts the payload as upstream signs it: hex HMAC-SHA256 over `timestamp:body`, the body without the secret. */
async function sendWebhook({ secret = '', ...payload }, env) {
  if (env.OUTBOUND_HTTP_SAFE_MODE_ENABLED !== 'false')
    await demandPublicAddress(new URL(payload.targetUrl).hostname)
  const body = JSON.stringify(payload)
  const timestamp = String(Date.now())
  const response = await fetch(payload.targetUrl, {
    method: 'POST',
    body,
    signal: AbortSignal.timeout(5000),
    redirect: 'manual',
    headers: {
      'content-type': 'application/json',
      'X-Twenty-Webhook-Signature': createHmac('sha256', secret)
        .update(`${timestamp}:${body}`)
        .digest('hex'),
      'X-Twenty-Webhook-Timestamp': timestamp,
      'X-Twenty-Webhook-Nonce': randomBytes(16).toString('hex'),
    },
  })
  if (!response.ok) throw new Error(`${payload.targetUrl} answered ${response.status}`)
  return `sent, ${response.status}`
}

const inside = new BlockList()
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
])
  inside.addSubnet(network, bits)

/** Upstream's safe mode, on by default: no webhook reaches a private address, and nobody is told. */
async function demandPublicAddress(host) {
  const { address } = await lookup(host, { family: 4 })
  if (inside.check(address))
    throw new Error(
      `Connection to internal IP address ${address} is not allowed (OUTBOUND_HTTP_SAFE_MODE_ENABLED)`,
    )
}
