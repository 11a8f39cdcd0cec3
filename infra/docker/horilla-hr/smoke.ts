// What Horilla is for, asked through the edge.
import { eventually, type Check, type SmokeContext } from '../../../scripts/lib/smoke/checks.ts'

/** A page's answer in a few words. */
const brief = (status: number, body: string) => `${status} ${body.replace(/<[^>]*>|\s+/g, ' ').trim().slice(0, 120)}`

const json = { 'content-type': 'application/json' }

/** The token of a log-in to the API; it answers 500 for a user without an Employee record. */
async function logIn({ edge, address, env }: SmokeContext): Promise<string> {
  const { ADMIN_EMAIL: username, ADMIN_PASSWORD: password } = env
  if (!username || !password) throw new Error('ADMIN_EMAIL or ADMIN_PASSWORD is empty in the root env file')
  const { status, body } = await edge.get(`${address('hr')}/api/auth/login/`, { method: 'POST', headers: json, body: JSON.stringify({ username, password }) })
  if (status !== 200) throw new Error(`/api/auth/login/ answered ${brief(status, body)}; is the administrator made? make admin APP=horilla-hr`)
  const { access } = JSON.parse(body) as { access?: string }
  if (!access) throw new Error('/api/auth/login/ gave no token')
  return access
}

export const checks: Check[] = [
  {
    name: 'the log-in page carries a CSRF token',
    async run({ edge, address }) {
      const { status, headers, body } = await edge.get(`${address('hr')}/login/`)
      if (status !== 200) throw new Error(`/login/ answered ${brief(status, body)}`)
      if (!/name="csrfmiddlewaretoken"\s+value="[^"]{32,}"/.test(body)) throw new Error('/login/ has no csrfmiddlewaretoken: nobody can log in')
      const cookie = headers.get('set-cookie') ?? ''
      if (!/csrftoken=/.test(cookie)) throw new Error('/login/ sets no csrftoken cookie')
      if (!/;\s*secure/i.test(cookie)) throw new Error('the csrftoken cookie is not Secure: is DEBUG on?')
      return 'token and cookie'
    },
  },
  {
    name: 'the database and the scheduler are ready',
    async run({ edge, address }) {
      let last = ''
      const found = await eventually(async () => {
        const { status, body } = await edge.get(`${address('hr')}/ready/`)
        last = brief(status, body)
        const { database, scheduler } = status === 200 ? (JSON.parse(body) as Record<string, string>) : {}
        return database === 'ok' && scheduler === 'ok' ? 'database ok, scheduler ok' : undefined
      }, 20)
      if (!found) throw new Error(`/ready/ says: ${last}`)
      return found
    },
  },
  {
    name: 'the page that initialises a database is closed',
    async run({ edge, address }) {
      for (const path of ['/', '/initialize-database/']) {
        const { status, body } = await edge.get(`${address('hr')}${path}`)
        if (status === 200) throw new Error(`${path} lets a visitor make the first superuser: make admin APP=horilla-hr`)
        if (status >= 500) throw new Error(`${path} answered ${brief(status, body)}`)
      }
    },
  },
  {
    name: 'a host that is not Horilla\'s gets nothing',
    async run({ edge, address }) {
      // the connection is made by Horilla's own name, so that the certificate fits
      const { status } = await edge.get(`${address('hr')}/login/`, { headers: { host: 'unknown.invalid' } })
      if (![400, 404, 421].includes(status)) throw new Error(`the Host unknown.invalid is answered with ${status}`)
      return String(status)
    },
  },
  {
    name: 'the API logs in and lists the employees',
    // a log-in writes a row
    writes: true,
    async run(context) {
      const headers = { authorization: `Bearer ${await logIn(context)}` }
      const { status, body } = await context.edge.get(`${context.address('hr')}/api/employee/list/employees/?search=&page=1`, { headers })
      if (status !== 200) throw new Error(`the employee list answered ${brief(status, body)}`)
      const { count, results } = JSON.parse(body) as { count: number; results: Record<string, unknown>[] }
      const missing = ['id', 'employee_first_name', 'employee_last_name', 'email'].filter(key => !(key in (results[0] ?? {})))
      if (missing.length) throw new Error(`the employees come without ${missing.join(', ')}`)
      return `${count} employees`
    },
  },
]
