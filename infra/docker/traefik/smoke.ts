// What the edge owes to every application: HTTPS only, the security headers, and nothing for who asks for something else.
import { get } from 'node:http'
import type { Check } from '../../../scripts/lib/checks.ts'

export const checks: Check[] = [
  {
    name: 'HTTP redirects to HTTPS',
    async run({ address, env }) {
      const target = new URL('/some/path?q=1', address('app'))
      const { status, location } = await plain(Number(env.HTTP_PORT || 80), target)
      if (![301, 302, 307, 308].includes(status) || location !== target.href) throw new Error(`http://${target.hostname} answers ${status} ${location}`)
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
        if (status === 404 && body === '404 page not found\n') continue
        const wrong = wanted.filter(([name, value]) => !value.test(headers.get(name) ?? '')).map(([name]) => name)
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

/** Asks this machine's HTTP port for an address, as somebody would who left out the s. */
function plain(port: number, { hostname, pathname, search }: URL): Promise<{ status: number; location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const call = get({ host: '127.0.0.1', port, path: pathname + search, headers: { Host: hostname }, timeout: 10_000 }, response => {
      response.resume()
      resolve({ status: response.statusCode ?? 0, location: response.headers.location })
    })
    call.on('timeout', () => call.destroy(new Error(`no answer at port ${port} in 10 s`)))
    call.on('error', reject)
  })
}
