// What KGC's own applications are for: an API that reaches its database, and two pages that load with what they need.
import { randomUUID } from 'node:crypto'
import type { Check, SmokeContext } from '../../../scripts/lib/smoke/checks.ts'

export const checks: Check[] = [
  {
    name: 'the API is ready',
    // 200 with "not_ready" means that the database is away: the body counts
    async run({ edge, address }) {
      const { status, body } = await edge.get(`${address('api')}/api/v1/ready`)
      const said = field(body, 'status')
      if (status !== 200 || said !== 'ready') throw new Error(`/api/v1/ready answers ${status} ${said ?? body.slice(0, 120)}`)
    },
  },
  {
    name: 'the web page and its asset load',
    async run(context) {
      const path = /(?:src|href)="(\/assets\/[^"]+\.(?:js|css))"/.exec(await page(context, 'app'))?.[1]
      if (!path) throw new Error('the page names no asset under /assets/')
      const { status, headers } = await context.edge.get(context.address('app') + path)
      const type = headers.get('content-type') ?? 'no content type'
      // a missing asset that is answered with the page is a blank screen
      if (status !== 200 || !/javascript|css/.test(type)) throw new Error(`${path} answers ${status} ${type}`)
      return path
    },
  },
  {
    name: 'the web page reaches the API on its own host',
    async run({ edge, address }) {
      const { status, headers } = await edge.get(`${address('app')}/api/v1/health`)
      if (status !== 200 || !headers.get('content-type')?.includes('json')) throw new Error(`/api/v1/health answers ${status} ${headers.get('content-type')}`)
    },
  },
  { name: 'the admin page loads', run: async context => void (await page(context, 'admin')) },
  {
    name: 'X-Tenant-ID passes through the edge',
    // KGC's API echoes the header nowhere; the demo's stand-in does
    writes: true,
    async run({ edge, address }) {
      const tenant = randomUUID()
      for (const host of ['api', 'app']) {
        const { status, body } = await edge.get(`${address(host)}/api/v1/tenants`, { headers: { 'X-Tenant-ID': tenant } })
        if (field(body, 'tenantId') !== tenant) throw new Error(`${host} answers ${status} without the tenant: ${body.slice(0, 120)}`)
      }
    },
  },
]

/** The page of a subdomain, which must be HTML. */
async function page({ edge, address }: SmokeContext, subdomain: string): Promise<string> {
  const { status, headers, body } = await edge.get(`${address(subdomain)}/`)
  if (status !== 200 || !headers.get('content-type')?.startsWith('text/html')) throw new Error(`/ answers ${status} ${headers.get('content-type')}`)
  return body
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
