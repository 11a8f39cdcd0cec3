// Twenty's worker: takes the jobs; it alone sends mail and webhooks.
import { createHmac, randomBytes } from 'node:crypto'
import { onStop, sleep } from '../../lib/process.mjs'

/** Works until it is stopped; a job under way is finished. */
export async function worker({ contract, log, faults }, { pool, redis }) {
  let stopping = false
  let busy = Promise.resolve()
  onStop(() => { stopping = true; return busy })
  // what a killed worker had in its hands waits again
  for (const queue of contract.queues) while (await redis.lMove(`bull:${queue}:active`, `bull:${queue}:wait`, 'LEFT', 'RIGHT')) log.warn('stalled job waits again', { queue })
  log.info('worker started', { queues: contract.queues.length })
  if (faults.has('hang')) return void setInterval(() => {}, 60_000)
  void (async () => {
    while (!stopping) {
      const took = await (busy = round()).catch(error => log.warn('no round', { reason: error.message }))
      if (!took) await sleep(500)
    }
  })()

  async function round() {
    let took = false
    for (const queue of contract.queues) {
      const id = await redis.lMove(`bull:${queue}:wait`, `bull:${queue}:active`, 'RIGHT', 'LEFT')
      if (!id) continue
      took = true
      await work(queue, id)
    }
    return took
  }

  async function work(queue, id) {
    const { name = '', data = '{}' } = await redis.hGetAll(`bull:${queue}:${id}`)
    const result = await (name === 'webhook' ? sendWebhook(JSON.parse(data)) : Promise.resolve('done')).catch(error => `failed: ${error.message}`)
    await pool.query('INSERT INTO core.job (queue, id, name, result) VALUES ($1, $2, $3, $4) ON CONFLICT (queue, id) DO UPDATE SET result = $4, done_at = now()', [queue, id, name, result])
    await redis.lRem(`bull:${queue}:active`, 1, id)
    await redis.zAdd(`bull:${queue}:${result.startsWith('failed') ? 'failed' : 'completed'}`, { score: Date.now(), value: id })
    log.info('job', { queue, id, name, result })
  }
}

/** Posts the payload as upstream signs it: hex HMAC-SHA256 over `timestamp:body`. */
async function sendWebhook({ targetUrl, secret = '', payload = {} }) {
  const body = JSON.stringify(payload)
  const timestamp = String(Date.now())
  const response = await fetch(targetUrl, {
    method: 'POST', body, signal: AbortSignal.timeout(5000), redirect: 'manual',
    headers: {
      'content-type': 'application/json',
      'X-Twenty-Webhook-Signature': createHmac('sha256', secret).update(`${timestamp}:${body}`).digest('hex'),
      'X-Twenty-Webhook-Timestamp': timestamp,
      'X-Twenty-Webhook-Nonce': randomBytes(16).toString('hex'),
    },
  })
  if (!response.ok) throw new Error(`${targetUrl} answered ${response.status}`)
  return `sent, ${response.status}`
}
