// KGC's API: health, docs, the receiving end of the webhooks, and one table that is really read.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { html, json, page, serve } from '../../lib/http.mjs'
import { within } from '../../lib/stores.mjs'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Serves until it is stopped; the database may go and come back. */
export async function api({ contract, env, log, faults }, pool) {
  const port = Number(env[contract.port.variable] || contract.port.default)

  /** Upstream answers 200 whatever the database says: the body counts. */
  async function ready() {
    const up = await within(3000, pool.query('SELECT 1')).then(
      () => true,
      () => false,
    )
    return json(200, {
      status: up ? 'ready' : 'not_ready',
      checks: { database: up ? 'up' : 'down' },
    })
  }

  /**
   * KGC reads `event` and `data`; Twenty sends `eventName` and `record`, so nothing of it is understood (apps/kgc-api/src/app.module.ts). It
   * checks no signature; this says what a check would find.
   */
  function twenty(request) {
    const { event } = request.json()
    const signed = `${request.headers['x-twenty-webhook-timestamp']}:${request.body}`
    log.info(`Twenty webhook received: ${event}`, {
      signature: verdict(
        env.TWENTY_WEBHOOK_SECRET,
        signed,
        request.headers['x-twenty-webhook-signature'],
      ),
    })
    if (!/^(person|company|opportunity)\.(created|updated)$/.test(event))
      log.info(`Unhandled event type: ${event}`)
    return json(201, { received: true, event, timestamp: new Date().toISOString() })
  }

  /** The real KGC has no receiver for this one (404). */
  const hook = (name, signature) => request => {
    const body = JSON.stringify(request.json())
    log.info(`webhook ${name}`, { signature: signature(request), body: body.slice(0, 2000) })
    return json(201, { received: true })
  }

  /** The tenants, as the one who asks with X-Tenant-ID may see them: the header is the proof that the edge lets it through. */
  async function tenants({ headers }) {
    const tenantId = headers['x-tenant-id']
    if (tenantId !== undefined && !uuid.test(tenantId))
      return json(400, { message: 'x-tenant-id must be a UUID', statusCode: 400 })
    const {
      rows: [{ count }],
    } = await pool.query(
      'SELECT count(*)::int AS count FROM tenants WHERE $1::uuid IS NULL OR id = $1',
      [tenantId ?? null],
    )
    return json(200, { tenantId: tenantId ?? null, count })
  }

  /** Whatever is not the API's is its old front end (the last handler of apps/kgc-api/src/main.ts). The password of another page is not for it. */
  function before({ method, path, headers }) {
    if (headers.authorization?.startsWith('Basic '))
      return json(400, { message: 'a password that is not for the API' })
    if (method === 'GET' && !path.startsWith('/api/'))
      return html(200, page('KGC ERP', '<h1>The old front end, played by the stand-in</h1>'))
  }

  await serve({
    port,
    contract,
    faults,
    log,
    before,
    routes: {
      'GET /api/v1/ready': ready,
      'GET /api/v1/tenants': tenants,
      'GET /api/docs': () => html(200, page('KGC API', '<h1>KGC API, played by the stand-in</h1>')),
      'GET /api/docs-json': () => json(200, { openapi: '3.0.0' }),
      'POST /api/v1/webhooks/twenty': twenty,
      'POST /api/v1/webhooks/chatwoot': hook('chatwoot', request =>
        verdict(
          env.CHATWOOT_WEBHOOK_SECRET,
          `${request.headers['x-chatwoot-timestamp']}.${request.body}`,
          request.headers['x-chatwoot-signature']?.replace(/^sha256=/, ''),
        ),
      ),
    },
  })
}

/** valid, wrong, or why it cannot be said. */
function verdict(secret, signed, given) {
  if (!given) return 'none'
  if (!secret) return 'no secret to check it with'
  const wanted = createHmac('sha256', secret).update(signed).digest('hex')
  return given.length === wanted.length && timingSafeEqual(Buffer.from(given), Buffer.from(wanted))
    ? 'valid'
    : 'wrong'
}
