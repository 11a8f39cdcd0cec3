// What Horilla is for, asked through the edge.
import {
  pollUntilFound,
  type SmokeCheck,
  type SmokeContext,
} from '../../../scripts/lib/smoke/checks.ts'
import { databaseChecks } from '../../../scripts/lib/smoke/database.ts'

/** A page's answer in a few words. */
const brief = (status: number, body: string) =>
  `${status} ${body
    .replace(/<[^>]*>|\s+/g, ' ')
    .trim()
    .slice(0, 120)}`

const json = { 'content-type': 'application/json' }

/**
 * The token of KGC's service user; the log-in answers 500 for a user without an Employee record.
 */
async function logIn({ edge, address, env }: SmokeContext): Promise<string> {
  const { KGC_HORILLA_USERNAME: username, KGC_HORILLA_PASSWORD: password } = env
  const { status, body } = await edge.get(`${address('hr')}/api/auth/login/`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ username, password }),
  })
  if (status !== 200)
    throw new Error(
      `/api/auth/login/ answered ${brief(status, body)}; does ${username} exist? make admin APP=horilla-hr`,
    )
  const { access } = JSON.parse(body) as { access?: string }
  if (!access) throw new Error('/api/auth/login/ gave no token')
  return access
}

/**
 * The pages of the set-up, each with what a browser sends; a visitor who gets one of them may make
 * himself a superuser.
 */
const setUp = [
  ['/', {}],
  ['/initialize-database/', {}],
  ['/load-demo-database/', {}],
  // these want htmx; Horilla before 2.1 asks for nothing else
  ...['user', 'company', 'department', 'job-position'].map(
    step => [`/initialize-database-${step}/`, { 'hx-request': 'true' }] as const,
  ),
] as const

export const checks: SmokeCheck[] = [
  ...databaseChecks('horilla-db'),
  {
    name: 'the log-in page carries a CSRF token',
    async run({ edge, address }) {
      const { status, headers, body } = await edge.get(`${address('hr')}/login/`)
      if (status !== 200) throw new Error(`/login/ answered ${brief(status, body)}`)
      if (!/name="csrfmiddlewaretoken"\s+value="[^"]{32,}"/.test(body))
        throw new Error('/login/ has no csrfmiddlewaretoken: nobody can log in')
      const cookie = headers.get('set-cookie') ?? ''
      if (!/csrftoken=/.test(cookie)) throw new Error('/login/ sets no csrftoken cookie')
      if (!/;\s*secure/i.test(cookie))
        throw new Error('the csrftoken cookie is not Secure: is DEBUG on?')
      return 'token and cookie'
    },
  },
  {
    name: 'the database and the scheduler are ready',
    async run({ edge, address }) {
      let last = ''
      const found = await pollUntilFound(async () => {
        const { status, body } = await edge.get(`${address('hr')}/ready/`)
        last = brief(status, body)
        const { database, scheduler } =
          status === 200 ? (JSON.parse(body) as Record<string, string>) : {}
        return database === 'ok' && scheduler === 'ok' ? 'database ok, scheduler ok' : undefined
      }, 20)
      if (!found) throw new Error(`/ready/ says: ${last}`)
      return found
    },
  },
  {
    name: 'the pages that initialise a database are closed',
    // by GET alone: it makes nobody
    async run({ edge, address }) {
      for (const [path, headers] of setUp) {
        const { status, body } = await edge.get(`${address('hr')}${path}`, { headers })
        // a visitor who is refused may get a page with 200, but none with a form (upstream's
        // test_initialize_database_guard.py)
        if (status === 200 && /<form\b/i.test(body))
          throw new Error(
            `${path} lets a visitor create the first superuser: make admin APP=horilla-hr; if this stays, the image is older than 2.1`,
          )
        if (status >= 500) throw new Error(`${path} answered ${brief(status, body)}`)
      }
      return `${setUp.length} pages`
    },
  },
  {
    name: "a host that is not Horilla's gets nothing",
    // asked of Horilla itself: another host never gets through Traefik
    async run({ exec }) {
      const url = 'http://127.0.0.1:8000/login/'
      const status = await exec('horilla-web', [
        'curl',
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-H',
        'Host: unknown.invalid',
        url,
      ])
      if (status.trim() !== '400')
        throw new Error(
          `the Host unknown.invalid is answered with ${status}, not 400: is ALLOWED_HOSTS open, or DEBUG on?`,
        )
      return status.trim()
    },
  },
  {
    name: "KGC's service user logs in to the API and lists the employees",
    // a log-in writes a row
    writes: true,
    needs: ['KGC_HORILLA_USERNAME', 'KGC_HORILLA_PASSWORD'],
    async run(context) {
      const headers = { authorization: `Bearer ${await logIn(context)}` }
      const { status, body } = await context.edge.get(
        `${context.address('hr')}/api/employee/list/employees/?search=&page=1`,
        { headers },
      )
      if (status === 403)
        throw new Error(
          `the employee list is refused: ${brief(status, body)}; make admin APP=horilla-hr gives the service user a company`,
        )
      if (status !== 200) throw new Error(`the employee list answered ${brief(status, body)}`)
      const { count, results } = JSON.parse(body) as {
        count: number
        results: Record<string, unknown>[]
      }
      const missing = ['id', 'employee_first_name', 'employee_last_name', 'email'].filter(
        key => !(key in (results[0] ?? {})),
      )
      if (missing.length) throw new Error(`the employees come without ${missing.join(', ')}`)
      return `${count} employees`
    },
  },
]
