// What KGC's own applications are for: an API that reaches its database, and two pages that load
// with what they need.
import { randomUUID } from 'node:crypto'
import type { SmokeCheck, SmokeContext } from '../../../scripts/lib/smoke/checks.ts'
import type { EdgeResponse, EdgeRequest } from '../../../scripts/lib/smoke/edge.ts'
import { databaseChecks } from '../../../scripts/lib/smoke/database.ts'
import { redisChecks } from '../../../scripts/lib/smoke/redis.ts'

export const checks: SmokeCheck[] = [
  ...databaseChecks('kgc-db'),
  ...redisChecks('kgc-redis'),
  {
    name: 'the API is ready',
    // 200 with "not_ready" means that the database is away: the body counts
    async run({ edge, address }) {
      const { status, body } = await edge.get(`${address('api')}/api/v1/ready`)
      const said = field(body, 'status')
      if (status !== 200 || said !== 'ready')
        throw new Error(`/api/v1/ready answers ${status} ${said ?? body.slice(0, 120)}`)
    },
  },
  {
    name: 'the web page and its script load',
    run: async context => loads(context, 'app'),
  },
  {
    name: 'the web page gives away no source, and no other site may frame it',
    run: async context => closed(context, 'app'),
  },
  {
    name: 'the web page reaches the API on its own host',
    async run({ edge, address }) {
      const { status, headers } = await edge.get(`${address('app')}/api/v1/health`)
      if (status !== 200 || !headers.get('content-type')?.includes('json'))
        throw new Error(`/api/v1/health answers ${status} ${headers.get('content-type')}`)
    },
  },
  {
    name: 'the project dashboard asks everybody for its password',
    async run({ edge, address }) {
      const strangers: EdgeRequest[] = [
        {},
        { headers: basic('kgc', '') },
        { headers: basic('kgc', randomUUID()) },
        { headers: { authorization: `Bearer ${randomUUID()}` } },
      ]
      for (const path of [
        '/',
        '/index.html',
        '/some/route',
        '/sprint-status.yaml',
        '/api/v1/health',
        '/api/docs',
      ])
        for (const stranger of path === '/' ? strangers : [{}]) {
          const { status } = await edge.get(address('admin') + path, stranger)
          if (status !== 401) throw new Error(`${path} answers ${status} without a password`)
        }
    },
  },
  {
    name: 'the project dashboard loads with its password, and reaches the API',
    needs: ['KGC_ADMIN_PASSWORD'],
    async run(context) {
      const ask = { headers: basic('kgc', context.env.KGC_ADMIN_PASSWORD!) }
      const asset = await loads(context, 'admin', ask)
      await closed(context, 'admin', ask)
      const { status, body } = await context.edge.get(
        `${context.address('admin')}/api/v1/health`,
        ask,
      )
      if (status !== 200 || field(body, 'status') !== 'ok')
        throw new Error(`/api/v1/health answers ${status} ${body.slice(0, 120)}`)
      return asset
    },
  },
  {
    name: 'the documentation of the API and its old front end are closed, unless KGC_API_DOCS=on',
    async run({ edge, address, env }) {
      const open = env.KGC_API_DOCS === 'on'
      for (const url of [
        ...['/', '/login', '/api/docs', '/api/docs-json'].map(path => address('api') + path),
        `${address('app')}/api/docs`,
      ]) {
        const { status } = await edge.get(url)
        if (status !== 404 && !(open && url.startsWith(address('api'))))
          throw new Error(`${url} answers ${status}`)
      }
      const { status } = await edge.get(`${address('api')}/api/docs`)
      if (open && status >= 400) throw new Error(`KGC_API_DOCS=on, and /api/docs answers ${status}`)
    },
  },
  {
    name: 'X-Tenant-ID passes through the edge',
    // KGC's API echoes the header nowhere; the demo's stand-in does
    writes: true,
    async run({ edge, address }) {
      const tenant = randomUUID()
      for (const host of ['api', 'app']) {
        const { status, body } = await edge.get(`${address(host)}/api/v1/tenants`, {
          headers: { 'X-Tenant-ID': tenant },
        })
        if (field(body, 'tenantId') !== tenant)
          throw new Error(`${host} answers ${status} without the tenant: ${body.slice(0, 120)}`)
      }
    },
  },
]

/** The header of HTTP's basic authentication. */
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

/** The page of a subdomain, which must be HTML, and the path of its script. */
async function page(
  { edge, address }: SmokeContext,
  subdomain: string,
  ask?: EdgeRequest,
): Promise<{ headers: EdgeResponse['headers']; asset: string }> {
  const { status, headers, body } = await edge.get(`${address(subdomain)}/`, ask)
  if (status !== 200 || !headers.get('content-type')?.startsWith('text/html'))
    throw new Error(`/ answers ${status} ${headers.get('content-type')}`)
  const asset = /src="(\/assets\/[^"]+\.js)"/.exec(body)?.[1]
  if (!asset) throw new Error('the page names no script under /assets/')
  return { headers, asset }
}

/**
 * Throws unless a page and its script load; a missing one that is answered with the page is a blank
 * screen.
 */
async function loads(context: SmokeContext, subdomain: string, ask?: EdgeRequest): Promise<string> {
  const { asset } = await page(context, subdomain, ask)
  const { status, headers } = await context.edge.get(context.address(subdomain) + asset, ask)
  const type = headers.get('content-type') ?? 'no content type'
  if (status !== 200 || !type.includes('javascript'))
    throw new Error(`${asset} answers ${status} ${type}`)
  return asset
}

/**
 * Throws unless what must not be there is 404, and every answer forbids other sites to frame it:
 * the configuration is ours (nginx/nginx.conf).
 */
async function closed(context: SmokeContext, subdomain: string, ask?: EdgeRequest): Promise<void> {
  const { headers, asset } = await page(context, subdomain, ask)
  const answers = [{ path: '/', headers }]
  for (const path of [`${asset}.map`, `/assets/${randomUUID()}.js`, '/sprint-status.yaml']) {
    const answer = await context.edge.get(context.address(subdomain) + path, ask)
    if (answer.status !== 404) throw new Error(`${path} answers ${answer.status}`)
    answers.push({ path, headers: answer.headers })
  }
  const bare = answers.find(
    ({ headers }) =>
      headers.get('x-frame-options') !== 'SAMEORIGIN' ||
      !headers.get('content-security-policy')?.includes('frame-ancestors'),
  )
  if (bare) throw new Error(`${bare.path} can be framed by any site`)
}

/** A text of a JSON object; undefined when it is something else. */
function field(body: string, name: string): string | undefined {
  try {
    const value = (JSON.parse(body) as Record<string, unknown>)[name]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
