// Horilla's web: health, log-in with Django's checks, the page that initialises a database; the API is beside it.
import { randomBytes } from 'node:crypto'
import { html, json, page, redirect, serve, text } from '../../lib/http.mjs'
import { openRedis, within } from '../../lib/stores.mjs'
import { api } from './api.mjs'
import { cookiesOf, csrfFailure, sign, verify } from './security.mjs'
import { authenticate, createUser, isInitialised } from './stores.mjs'

const list = text => (text ?? '').split(',').filter(Boolean)

/** Serves until it is stopped. */
export async function web({ contract, env, log, faults }, pool, host) {
  const hosts = list(env.ALLOWED_HOSTS)
  const forbidden = request => {
    const why = csrfFailure(request, list(env.CSRF_TRUSTED_ORIGINS))
    return (
      why &&
      html(
        403,
        page('403 Forbidden', `<h1>CSRF verification failed. Request aborted.</h1><p>${why}</p>`),
      )
    )
  }

  /** The client as ipware finds it: with AXES_PROXY_COUNT it wants the client and so many proxies behind it, or it finds nobody. */
  function clientOf(request) {
    const forwarded = list(request.headers['x-forwarded-for']?.replaceAll(' ', ''))
    const proxies = Number(env.AXES_PROXY_COUNT || 0)
    return proxies ? forwarded.at(-proxies - 1) : request.address
  }

  /** A page with a form, whose token is also in a cookie that only TLS carries. */
  function form(request, title, action, fields, note = '') {
    const token = cookiesOf(request).csrftoken ?? randomBytes(32).toString('hex')
    const inputs = fields
      .map(
        name =>
          `<input name="${name}"${/password/.test(name) ? ' type="password"' : ''} placeholder="${name}">`,
      )
      .join('')
    return html(
      200,
      page(
        title,
        `<h1>${title}</h1><p>${note}</p><form method="post" action="${action}"><input type="hidden" name="csrfmiddlewaretoken" value="${token}">${inputs}<button>OK</button></form>`,
      ),
      {
        'set-cookie': `csrftoken=${token}; Path=/; Max-Age=31449600; SameSite=Lax; Secure`,
      },
    )
  }
  const initialise = (request, note) =>
    form(
      request,
      'Initialize Database',
      '/initialize-database/',
      ['password', 'username', 'user_password'],
      note,
    )
  const loginPage = (request, note) =>
    form(request, 'Horilla HR', '/login/', ['username', 'password'], note)

  async function userOf(token, kind) {
    const id = verify(token, kind, env.SECRET_KEY)
    if (!id) return
    return (
      await pool.query('SELECT * FROM horilla_auth_horillauser WHERE id = $1 AND is_active', [id])
    ).rows[0]
  }

  let cache
  async function ready() {
    const checks = {}
    try {
      await within(3000, pool.query('SELECT 1'))
      checks.database = 'ok'
      if (env.REDIS_URL) {
        cache ??= await openRedis({ url: env.REDIS_URL }, log)
        await within(3000, cache.ping())
        checks.cache = 'ok'
      }
    } catch (error) {
      log.error('readiness probe', { reason: error.message })
      return json(503, {
        status: 'unavailable',
        ...checks,
        [checks.database ? 'cache' : 'database']: 'error',
      })
    }
    // ok for ever once jobs are registered (horilla/urls.py, _scheduler_status)
    const { rows: jobs } = await pool
      .query('SELECT 1 FROM django_apscheduler_djangojob LIMIT 1')
      .catch(() => ({ rows: [] }))
    checks.scheduler = jobs.length ? 'ok' : 'missing'
    const bad = checks.scheduler !== 'ok' && env.HORILLA_REQUIRE_SCHEDULER === '1'
    return json(bad ? 503 : 200, { status: bad ? 'unavailable' : 'ok', ...checks })
  }

  async function home(request) {
    if (!(await isInitialised(pool))) return initialise(request)
    return (await userOf(cookiesOf(request).sessionid, 'session'))
      ? html(200, page('Horilla HR', '<h1>Horilla HR, played by the stand-in</h1>'))
      : redirect('/login/?next=/')
  }

  async function initialiseDatabase(request) {
    if (await isInitialised(pool)) return redirect('/')
    const refused = forbidden(request)
    if (refused) return refused
    const fields = Object.fromEntries(request.form())
    if (fields.password !== env.DB_INIT_PASSWORD)
      return initialise(request, 'The password you entered is incorrect. Please try again.')
    if (!fields.username || !fields.user_password)
      return initialise(request, 'username and user_password are needed')
    const id = await createUser(pool, {
      username: fields.username,
      email: fields.username,
      password: fields.user_password,
      superuser: true,
    })
    await pool.query(
      `INSERT INTO employee_employee (employee_user_id, employee_first_name, employee_last_name, email, phone) VALUES ($1, 'First', 'User', $2, '0')`,
      [id, fields.username],
    )
    return redirect('/login/')
  }

  /** handle_no_permission: who is refused gets a page with 200 when htmx asks. Before 2.1 these served the form that makes a superuser to anybody. */
  const wizard =
    step =>
    ({ headers }) => {
      if (!headers['hx-request']) return html(405, page('405', '<h1>Method Not Allowed</h1>'))
      return step === 'user' ? redirect('/login/') : html(200, '<h1>You Dont Have Permission</h1>')
    }

  async function login(request) {
    const refused = forbidden(request)
    if (refused) return refused
    const { username, password } = Object.fromEntries(request.form())
    const user = await authenticate(pool, username, password, clientOf(request))
    if (!user) return loginPage(request, 'Invalid username or password.')
    return redirect('/', 302, {
      'set-cookie': `sessionid=${sign(user.id, 'session', 43_200, env.SECRET_KEY)}; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure`,
    })
  }

  async function metrics(request) {
    const user = await userOf(cookiesOf(request).sessionid, 'session')
    return user?.is_superuser
      ? text(
          200,
          '# TYPE horilla_scheduler_jobs_registered gauge\nhorilla_scheduler_jobs_registered 3\n',
        )
      : text(404, 'Not found')
  }

  const routes = {
    'GET /ready/': ready,
    'GET /': home,
    'GET /initialize-database/': async request =>
      (await isInitialised(pool)) ? redirect('/') : initialise(request),
    'POST /initialize-database/': initialiseDatabase,
    'GET /load-demo-database/': async request =>
      (await isInitialised(pool)) ? redirect('/') : initialise(request),
    // the steps behind it: only for a browser that htmx drives, and only behind the password (base/views.py, upstream's test_initialize_database_guard.py)
    ...Object.fromEntries(
      ['user', 'company', 'department', 'job-position'].map(step => [
        `GET /initialize-database-${step}/`,
        wizard(step),
      ]),
    ),
    'GET /login/': request => loginPage(request),
    'POST /login/': login,
    ...api(env, pool, clientOf, userOf),
    'GET /metrics/': metrics,
  }
  const known = new Set(
    [...Object.keys(routes), ...Object.keys(contract.answers)].map(route => route.split(' ')[1]),
  )

  await serve({
    port: Number(env[contract.port.variable] || contract.port.default),
    host,
    contract,
    faults,
    log,
    routes,
    headers: { 'x-frame-options': 'SAMEORIGIN', 'x-content-type-options': 'nosniff' },
    before(request) {
      if (!hosts.includes(request.host.replace(/:\d+$/, '')))
        return html(400, page('Bad Request', '<h1>Bad Request (400)</h1>'))
      if (/^(1|true)$/i.test(env.SECURE_SSL_REDIRECT ?? '') && !request.secure)
        return redirect(`https://${request.host}${request.path}`, 301)
      if (!known.has(request.path) && known.has(`${request.path}/`))
        return redirect(`${request.path}/${request.query.size ? `?${request.query}` : ''}`, 301)
    },
  })
}
