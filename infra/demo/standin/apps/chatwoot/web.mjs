// Chatwoot's web process: pages, the API with the few calls that a check needs, and ActionCable.
import { randomBytes, randomUUID } from 'node:crypto'
import { html, json, page, redirect, serve, text } from '../../lib/http.mjs'
import { within } from '../../lib/stores.mjs'
import { serveCable } from './cable.mjs'
import { enqueue, hashPassword, onboarding } from './stores.mjs'

const events = [
  'conversation_status_changed',
  'conversation_updated',
  'conversation_created',
  'contact_created',
  'contact_updated',
  'message_created',
  'message_updated',
  'webwidget_triggered',
]
const dashboard = html(
  200,
  page(
    'Chatwoot',
    '<div id="app"></div><script>window.chatwootConfig = { hostURL: location.origin }</script>',
  ),
)
const refused = (message, status = 401) => json(status, { error: message })

/** Serves until it is stopped. */
export async function web({ contract, env, log, faults }, { pool, redis }) {
  const port = contract.port.default
  const forced = env.FORCE_SSL === 'true'
  const before = ({ secure, host, path }) =>
    forced && !secure ? redirect(`https://${host}${path}`, 301) : undefined

  const routes = {
    'GET /': visitor(() => dashboard),
    'GET /app': visitor(() => dashboard),
    'GET /app/login': visitor(() => dashboard),
    'GET /installation/onboarding': async () =>
      (await redis.get(onboarding))
        ? html(
            200,
            page(
              'Chatwoot',
              '<form action="/installation/onboarding" method="post">Welcome to Chatwoot</form>',
            ),
          )
        : redirect('/'),
    'GET /super_admin': () => redirect('/super_admin/sign_in'),
    'GET /super_admin/sign_in': () => html(200, page('SuperAdmin', '<form method="post"></form>')),
    'GET /cable': () => text(404, 'Page not found'),
    'GET /api': status,
    'POST /auth/sign_in': signIn,
    'GET /api/v1/profile': signedIn((_, user) => json(200, profile(user))),
    'GET /api/v1/accounts/:id/webhooks': administrator(async (_, account) =>
      json(200, {
        payload: {
          webhooks: (
            await pool.query(
              'SELECT id, account_id, url, subscriptions FROM webhooks WHERE account_id = $1',
              [account.id],
            )
          ).rows,
        },
      }),
    ),
    'POST /api/v1/accounts/:id/webhooks': administrator(createWebhook),
    'POST /api/v1/accounts/:id/contacts': administrator(createContact),
  }
  const server = await serve({ port, contract, faults, log, before, routes })
  serveCable(server, { forced, faults, log })

  /** Until the first administrator is there, every page leads to the onboarding. */
  function visitor(work) {
    return async () =>
      (await redis.get(onboarding)) ? redirect('/installation/onboarding') : work()
  }

  async function status() {
    const state = asked =>
      within(2000, asked).then(
        () => 'ok',
        () => 'failing',
      )
    const [queues, data] = await Promise.all([state(redis.ping()), state(pool.query('SELECT 1'))])
    return json(200, {
      version: contract.version,
      timestamp: new Date().toISOString().slice(0, 19).replace('T', ' '),
      queue_services: queues,
      data_services: data,
    })
  }

  async function signIn(request) {
    const { email = '', password = '' } = request.json()
    const {
      rows: [user],
    } = await pool.query(`${users} WHERE email = $1`, [email.trim().toLowerCase()])
    const salt = user?.encrypted_password.split(':')[0]
    if (!user || hashPassword(password, salt) !== user.encrypted_password)
      return json(401, { success: false, errors: ['Invalid login credentials. Please try again.'] })
    if (!user.confirmed_at)
      return json(401, {
        success: false,
        errors: [`A confirmation email was sent to your account at '${email}'.`],
      })
    const token = {
      'access-token': randomBytes(16).toString('base64url'),
      'token-type': 'Bearer',
      client: randomBytes(16).toString('base64url'),
      uid: user.email,
    }
    return json(200, { data: profile(user) }, token)
  }

  /** The header with underscores is one that proxies drop: a check that uses it must fail here too. */
  function signedIn(work) {
    return async request => {
      if (request.headers.api_access_token)
        log.warn('header api_access_token: nginx and Caddy drop it; send api-access-token')
      const {
        rows: [user],
      } = await pool.query(`${users} WHERE access_token = $1`, [
        request.headers['api-access-token'] ?? '',
      ])
      return user ? work(request, user) : refused('Invalid Access Token')
    }
  }

  function administrator(work) {
    return signedIn((request, user) => {
      const account = user.accounts.find(({ id }) => id === Number(request.path.split('/')[4]))
      return account?.role === 'administrator'
        ? work(request, account)
        : refused('You are not authorized to do this action')
    })
  }

  async function createWebhook(request, account) {
    const { webhook: { url = '', subscriptions = [] } = {} } = request.json()
    if (!/^https?:\/\/./.test(url))
      return json(422, { message: 'Url is invalid', attributes: ['url'] })
    if (!subscriptions.length || !subscriptions.every(name => events.includes(name)))
      return json(422, { message: 'Subscriptions Invalid events', attributes: ['subscriptions'] })
    const {
      rows: [webhook],
    } = await pool.query(
      'INSERT INTO webhooks (account_id, url, subscriptions, secret) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id, account_id, url, subscriptions, secret',
      [account.id, url, JSON.stringify(subscriptions), randomUUID()],
    )
    return webhook
      ? json(200, { payload: { webhook } })
      : json(422, { message: 'Url has already been taken', attributes: ['url'] })
  }

  /** The contact and its job, or neither. */
  async function createContact(request, account) {
    const { name = '', email = null, phone_number: phone = null } = request.json()
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      const {
        rows: [contact],
      } = await client.query(
        'INSERT INTO contacts (account_id, name, email, phone_number) VALUES ($1, $2, $3, $4) RETURNING id, name, email, phone_number',
        [account.id, name, email, phone],
      )
      await enqueue(redis, 'EventDispatcherJob', [
        'contact_created',
        { ...contact, account: { id: account.id, name: account.name } },
      ])
      await client.query('COMMIT')
      return json(200, { payload: { contact } })
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      throw error
    } finally {
      client.release()
    }
  }
}

const users = `SELECT users.*, (SELECT coalesce(json_agg(json_build_object('id', a.id, 'name', a.name, 'role', u.role)), '[]') FROM account_users u JOIN accounts a ON a.id = u.account_id WHERE u.user_id = users.id) AS accounts FROM users`

const profile = ({ id, email, name, type, access_token, accounts }) => ({
  id,
  email,
  name,
  type,
  access_token,
  account_id: accounts[0]?.id,
  role: accounts[0]?.role,
  accounts,
})
