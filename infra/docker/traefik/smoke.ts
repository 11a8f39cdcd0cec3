// What Traefik must do for every application: HTTPS only, the security headers, and 404 for unknown
// hosts.
import type { SmokeCheck } from '../../../scripts/lib/smoke/checks.ts'
import { isTraefikAnswer } from '../../../scripts/lib/smoke/doors.ts'

export const checks: SmokeCheck[] = [
  {
    name: 'HTTP redirects to HTTPS',
    async run({ edge, address }) {
      const target = new URL('/some/path?q=1', address('app'))
      // as somebody asks who left out the s
      const { status, headers } = await edge.get(
        `http://${target.hostname}${target.pathname}${target.search}`,
      )
      const location = headers.get('location')
      if (![301, 302, 307, 308].includes(status) || location !== target.href)
        throw new Error(`http://${target.hostname} answers ${status} ${location}`)
    },
  },
  {
    name: 'security headers are there',
    async run({ edge, address }) {
      const wanted: [string, RegExp][] = [
        ['strict-transport-security', /max-age=[1-9]\d{6,}/],
        ['x-content-type-options', /^nosniff/],
        // an application may set a stricter one of its own
        ['referrer-policy', /./],
      ]
      const checked: string[] = []
      for (const host of ['api', 'app', 'admin', 'crm', 'support', 'hr']) {
        const { status, headers, body } = await edge.get(`${address(host)}/`)
        // Traefik's own answer: that application is not part of this stack
        if (status === 404 && isTraefikAnswer({ status, body })) continue
        const wrong = wanted
          .filter(([name, value]) => !value.test(headers.get(name) ?? ''))
          .map(([name]) => name)
        const telling = ['server', 'x-powered-by'].filter(name => headers.get(name))
        const faults = [...wrong.map(name => `no ${name}`), ...telling.map(name => `tells ${name}`)]
        if (faults.length) throw new Error(`${host}: ${faults.join(', ')}`)
        checked.push(host)
      }
      if (!checked.length) throw new Error('no application is behind the edge')
      return checked.join(', ')
    },
  },
  {
    name: 'an unknown host gets 404, and no dashboard',
    async run({ edge, address }) {
      for (const path of ['/', '/dashboard/', '/api/rawdata']) {
        const { status } = await edge.get(address('nobody') + path)
        if (status !== 404) throw new Error(`${address('nobody')}${path} answers ${status}`)
      }
    },
  },
]
