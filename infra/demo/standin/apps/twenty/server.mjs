// Twenty's server: the page, GraphQL with the few operations that set-up and checks need, and metrics.
// As upstream has it, signing in and settings are at /metadata, records at /graphql.
import { readFileSync } from 'node:fs'
import { html, json, page, serve } from '../../lib/http.mjs'
import { pending, stepsOf } from '../../lib/migrate.mjs'
import { accounts } from './accounts.mjs'
import { Complaint } from './complaint.mjs'
import { answer, readSchema } from './graphql.mjs'
import { serveMetrics } from './metrics.mjs'
import { enqueue, migrations, steps } from './stores.mjs'

const schemaOf = name => readSchema(readFileSync(new URL(name, import.meta.url), 'utf8'))

/** Serves until it is stopped. */
export async function server({ contract, env, log, faults }, { pool, redis }) {
  const account = accounts({
    pool,
    mail: (name, data) => enqueue(redis, 'email-queue', name, data),
  })
  const { signedIn } = account

  const metadata = {
    ...account.operations,
    webhooks: signedIn(
      'access',
      async () =>
        (await pool.query('SELECT id, target_url AS "targetUrl", operations FROM core.webhook'))
          .rows,
    ),
    createWebhook: signedIn('access', async ({ input: { targetUrl, operations, secret } }) => {
      const sql =
        'INSERT INTO core.webhook (target_url, operations, secret) VALUES ($1, $2, $3) RETURNING id'
      return (await pool.query(sql, [targetUrl, operations, secret ?? ''])).rows[0]
    }),
  }
  const records = {
    createPerson: signedIn('access', async ({ data: { name } }) => {
      const [firstName, lastName] = [name?.firstName ?? '', name?.lastName ?? '']
      const {
        rows: [{ id }],
      } = await pool.query(
        'INSERT INTO core.person (first_name, last_name) VALUES ($1, $2) RETURNING id',
        [firstName, lastName],
      )
      const record = { id, name: { firstName, lastName } }
      await tell('person.created', record)
      return record
    }),
    people: signedIn('access', async () => ({
      totalCount: Number((await pool.query('SELECT count(*) FROM core.person')).rows[0].count),
    })),
  }

  /** A job for every webhook that wants the event; the worker sends it. */
  async function tell(eventName, record) {
    const [object, action] = eventName.split('.')
    const { rows } = await pool.query(
      'SELECT target_url, secret FROM core.webhook WHERE operations && $1',
      [[eventName, `*.${action}`, `${object}.*`, '*.*']],
    )
    for (const { target_url: targetUrl, secret } of rows)
      await enqueue(redis, 'webhook-queue', 'CallWebhookJob', {
        targetUrl,
        secret,
        eventName,
        record,
      })
  }

  const graphql = (schema, operations) => async request => {
    const missing = await pending(pool, migrations, stepsOf(steps, env))
    if (missing.length)
      return complain(
        500,
        `the schema misses ${missing.length} migrations`,
        'INTERNAL_SERVER_ERROR',
      )
    try {
      return json(200, {
        data: await answer(schema, request.json(), (name, args) => operations[name](args, request)),
      })
    } catch (error) {
      if (error instanceof Complaint)
        return complain(
          error.code === 'GRAPHQL_VALIDATION_FAILED' ? 400 : 200,
          error.message,
          error.code,
        )
      throw error
    }
  }

  const port = Number(env[contract.port.variable] || contract.port.default)
  await serve({
    port,
    contract,
    faults,
    log,
    routes: {
      'GET /': () =>
        html(200, page('Twenty', '<div id="root">Twenty, played by the stand-in</div>')),
      'POST /graphql': graphql(schemaOf('records.graphql'), records),
      'POST /metadata': graphql(schemaOf('metadata.graphql'), metadata),
    },
  })
  await serveMetrics({ contract, env, log }, redis)
}

const complain = (status, message, code) =>
  json(status, { errors: [{ message, extensions: { code } }] })
