// Twenty's server: the page, GraphQL with the few operations that a check needs, and metrics.
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { html, json, page, serve } from '../../lib/http.mjs'
import { pending, stepsOf } from '../../lib/migrate.mjs'
import { onStop } from '../../lib/process.mjs'
import { enqueue, migrations, steps } from './stores.mjs'

const hash = text => createHash('sha256').update(text).digest('hex')
const data = value => json(200, { data: value })
const errors = (status, message, code) => json(status, { errors: [{ message, extensions: { code } }] })

/** Serves until it is stopped. */
export async function server({ contract, env, log, faults }, { pool, redis }) {
  const operations = {
    async signUp({ email, password }) {
      if (!email || !password) return errors(400, 'email and password are needed', 'BAD_USER_INPUT')
      const token = randomBytes(24).toString('hex')
      // one workspace: the first one in is the administrator and closes the door
      const { rows } = await pool.query(
        `INSERT INTO core."user" (email, password, token, admin) SELECT $1, $2, $3, true
         WHERE NOT EXISTS (SELECT 1 FROM core."user") RETURNING id, admin`, [email, hash(password), hash(token)])
      if (!rows.length) return errors(200, 'New workspace setup is disabled', 'SIGNUP_DISABLED')
      await pool.query('INSERT INTO core.workspace (name) VALUES ($1)', ['Demo'])
      await enqueue(redis, 'email-queue', 'welcome', { to: email })
      return data({ signUp: { id: rows[0].id, admin: true, token } })
    },
    async signIn({ email, password }) {
      const token = randomBytes(24).toString('hex')
      const { rows } = await pool.query('UPDATE core."user" SET token = $3 WHERE email = $1 AND password = $2 RETURNING id', [email, hash(password ?? ''), hash(token)])
      return rows.length ? data({ signIn: { id: rows[0].id, token } }) : errors(200, 'Incorrect email or password', 'FORBIDDEN')
    },
    createWebhook: signedIn(async ({ targetUrl, secret }) => {
      const { rows } = await pool.query('INSERT INTO core.webhook (target_url, secret) VALUES ($1, $2) RETURNING id', [targetUrl, secret ?? ''])
      return data({ createWebhook: { id: rows[0].id } })
    }),
    createPerson: signedIn(async ({ name }) => {
      const { rows: [person] } = await pool.query('INSERT INTO core.person (name) VALUES ($1) RETURNING id, name', [name])
      const { rows: hooks } = await pool.query('SELECT target_url, secret FROM core.webhook')
      for (const { target_url: targetUrl, secret } of hooks)
        await enqueue(redis, 'webhook-queue', 'webhook', { targetUrl, secret, payload: { event: 'person.created', eventName: 'person.created', record: person } })
      return data({ createPerson: person })
    }),
    people: signedIn(async () => data({ people: { totalCount: Number((await pool.query('SELECT count(*) FROM core.person')).rows[0].count) } })),
  }

  function signedIn(work) {
    return async (input, request) => {
      const token = (request.headers.authorization ?? '').replace(/^Bearer /, '')
      const { rows } = await pool.query('SELECT 1 FROM core."user" WHERE token = $1', [hash(token)])
      return rows.length ? work(input, request) : errors(200, 'Unauthenticated', 'UNAUTHENTICATED')
    }
  }

  async function graphql(request) {
    const { query = '', variables = {} } = request.json()
    const missing = await pending(pool, migrations, stepsOf(steps, env))
    if (missing.length) return errors(500, `the schema misses ${missing.length} migrations`, 'INTERNAL_SERVER_ERROR')
    if (/^(query\s*\w*\s*)?\{\s*__typename\s*\}$/.test(query.trim())) return data({ __typename: 'Query' })
    const name = Object.keys(operations).find(name => new RegExp(`\\b${name}\\b`).test(query.replace(/^\s*(mutation|query)\s+\w+/, '')))
    if (!name) return errors(400, 'the stand-in knows only __typename, ' + Object.keys(operations).join(', '), 'GRAPHQL_VALIDATION_FAILED')
    return operations[name]({ ...literals(query), ...variables, ...variables.input }, request)
  }

  const port = Number(env[contract.port.variable] || contract.port.default)
  await serve({ port, contract, faults, log, routes: {
    'GET /': () => html(200, page('Twenty', '<div id="root">Twenty, played by the stand-in</div>')),
    'POST /graphql': graphql,
    'POST /metadata': graphql,
  } })
  if (env.METER_DRIVER?.split(',').includes('prometheus')) await metrics({ contract, log }, redis)
}

/** Arguments written into the query itself: `signUp(email: "a@b.hu", password: "x")`. */
function literals(query) {
  return Object.fromEntries([...query.matchAll(/(\w+):\s*"((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key, JSON.parse(`"${value}"`)]))
}

/** Prometheus' text on 9464, the exporter's default port: what waits in each queue. */
async function metrics({ contract, log }, redis) {
  const exporter = createServer(async (request, response) => {
    if (request.url !== '/metrics') return response.writeHead(404).end()
    try {
      const waiting = await Promise.all(contract.queues.map(queue => redis.lLen(`bull:${queue}:wait`)))
      const lines = contract.queues.map((queue, i) => `twenty_queue_jobs_waiting_total{queue="${queue}"} ${waiting[i]}`)
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(['# TYPE twenty_queue_jobs_waiting_total gauge', ...lines, ''].join('\n'))
    } catch (error) {
      response.writeHead(500).end(error.message)
    }
  })
  onStop(() => { exporter.close(); exporter.closeAllConnections() })
  await new Promise(resolve => exporter.listen(9464, '0.0.0.0', resolve))
  log.info('metrics', { port: 9464 })
}
