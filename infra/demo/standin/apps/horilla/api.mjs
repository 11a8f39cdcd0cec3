// Horilla's API, as far as KGC's employee sync needs it: a log-in for a token of an hour, and the list of employees.
import { json } from '../../lib/http.mjs'
import { limiter, sign } from './security.mjs'
import { authenticate, companyOf } from './stores.mjs'

const detail = (status, words, headers) => json(status, { detail: words }, headers)
const throttled = wait =>
  detail(429, `Request was throttled. Expected available in ${wait} seconds.`, {
    'retry-after': String(wait),
  })

/** Its routes; `clientOf` gives the address that Horilla takes a request to come from, `userOf` the user of a token of a kind. */
export function api(env, pool, clientOf, userOf) {
  const loginLimit = limiter(env.THROTTLE_LOGIN || '12/min')
  const userLimit = limiter(env.THROTTLE_USER || '600/min')

  async function apiLogin(request) {
    const wait = loginLimit(clientOf(request) ?? request.address)
    if (wait) return throttled(wait)
    const { username, password } = request.json()
    if (!username || !password) return json(200, { error: 'Please provide Username and Password' })
    const user = await authenticate(pool, username, password, clientOf(request))
    if (!user) return json(401, { error: 'Invalid credentials' })
    const {
      rows: [employee],
    } = await pool.query(
      "SELECT id, concat_ws(' ', employee_first_name, employee_last_name) AS full_name FROM employee_employee WHERE employee_user_id = $1",
      [user.id],
    )
    if (!employee) throw new Error('RelatedObjectDoesNotExist: HorillaUser has no employee_get')
    return json(200, {
      employee,
      company_id: (await companyOf(pool, user.id)) ?? null,
      access: sign(user.id, 'access', 3600, env.SECRET_KEY),
    })
  }

  async function employees(request) {
    const [, token] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? []
    if (!token)
      return detail(401, 'Authentication credentials were not provided.', {
        'www-authenticate': 'Bearer realm="api"',
      })
    const user = await userOf(token, 'access')
    if (!user) return detail(401, 'Given token not valid for any token type')
    const wait = userLimit(user.id)
    if (wait) return throttled(wait)
    // TenantScopedJWTAuthentication (horilla_api/authentication.py; upstream's test: test_unplaceable_user_is_refused_not_unscoped)
    const company = user.is_superuser ? null : await companyOf(pool, user.id)
    if (company === undefined) return detail(403, 'This account is not assigned to a company.')
    // without the permission upstream does not refuse: it shows the user alone
    const all = user.is_superuser || user.permissions.includes('employee.view_employee')
    const pageNumber = Number(request.query.get('page') ?? 1)
    const search = request.query.get('search') ?? ''
    const { rows } = await pool.query(
      `SELECT e.id, employee_first_name, employee_last_name, email, job_position_name, w.id::text AS employee_work_info_id
       FROM employee_employee e LEFT JOIN employee_employeeworkinformation w ON w.employee_id = e.id
       WHERE (employee_first_name ILIKE '%' || $1 || '%' OR employee_last_name ILIKE '%' || $1 || '%') AND ($2 OR employee_user_id = $3)
         -- people of another company stay unseen, those of none do not (HorillaCompanyManager)
         AND ($4::int IS NULL OR w.company_id IS NULL OR w.company_id = $4) ORDER BY e.id`,
      [search, all, user.id, company],
    )
    const pages = Math.max(1, Math.ceil(rows.length / 20))
    if (!(Number.isInteger(pageNumber) && pageNumber >= 1 && pageNumber <= pages))
      return detail(404, 'Invalid page.')
    const here = `${request.secure ? 'https' : 'http'}://${request.host}${request.path}`
    const link = page =>
      page >= 1 && page <= pages ? `${here}?${new URLSearchParams({ search, page })}` : null
    return json(200, {
      count: rows.length,
      next: link(pageNumber + 1),
      previous: link(pageNumber - 1),
      results: rows.slice((pageNumber - 1) * 20, pageNumber * 20),
    })
  }

  return { 'POST /api/auth/login/': apiLogin, 'GET /api/employee/list/employees/': employees }
}
