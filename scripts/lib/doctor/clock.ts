// What the doctor asks and says of the clock. The judge is pure.
import { request } from 'node:https'
import type { ComposeConfig } from '../compose/stack.ts'
import { loadProxyAgents } from '../http.ts'
import { finding, type Finding } from './finding.ts'
import { registryHostOf } from '../images/reference.ts'
import { run } from '../run.ts'

/** Seconds of difference that break one-time passwords, and sessions and certificates. */
const drift = { warning: 30, error: 300 }

/** Where the true time comes from: a server's Date header, or the machine's own NTP. */
interface Clock {
  /** Seconds that this machine is ahead of `host`. */
  offsetSeconds?: number
  host?: string
  date?: string
  synchronised?: boolean
}

/**
 * Asks the registries of the stack's images and `others`; where none answers, the machine's time
 * service.
 */
export async function readClock(all: ComposeConfig | undefined, others: string[]): Promise<Clock> {
  const images = Object.values(all?.services ?? {}).flatMap(({ image }) => (image ? [image] : []))
  const hosts = [...new Set([...images.map(registryHostOf), ...others])].filter(
    host => !/^(localhost|127\.)/.test(host),
  )
  const told = await Promise.any(hosts.map(dateOf)).catch(() => undefined)
  if (told) return told
  const ntp = (
    await run(['timedatectl', 'show', '--property', 'NTPSynchronized', '--value'], {
      nothrow: true,
      timeout: 5_000,
    })
  ).stdout.trim()
  return ntp === 'yes' || ntp === 'no' ? { synchronised: ntp === 'yes' } : {}
}

/** A server's Date. Its certificate is not judged: by a wrong clock a good one looks bad. */
async function dateOf(host: string): Promise<Clock> {
  const agent = (await loadProxyAgents(false))?.(new URL(`https://${host}/`))
  const start = Date.now()
  return new Promise((resolve, reject) => {
    const call = request(
      `https://${host}/`,
      { method: 'HEAD', rejectUnauthorized: false, timeout: 4_000, agent },
      ({ headers }) => {
        const then = Date.parse(headers.date ?? '')
        call.destroy()
        if (Number.isNaN(then)) return reject(new Error(`${host} sends no time`))
        // the header has whole seconds: half of one is the best guess
        resolve({
          host,
          date: headers.date!,
          offsetSeconds: Math.round(((start + Date.now()) / 2 - then - 500) / 1000),
        })
      },
    )
    call.on('timeout', () => call.destroy(new Error(`${host} does not answer`)))
    call.on('error', reject)
    call.end()
  })
}

export function judgeClock(
  { offsetSeconds, host, date, synchronised }: Clock,
  systemd: boolean,
): Finding[] {
  const withoutSystemd = date ? `sudo date -u -s "${date}"` : 'sudo apt-get install --yes chrony'
  const set = systemd ? 'sudo timedatectl set-ntp true' : withoutSystemd
  if (offsetSeconds !== undefined) {
    const off = Math.abs(offsetSeconds)
    if (off <= drift.warning) return []
    return [
      finding(
        'machine',
        off > drift.error ? 'error' : 'warning',
        `the clock is ${off} s ${offsetSeconds > 0 ? 'ahead of' : 'behind'} ${host}`,
        set,
      ),
    ]
  }
  if (synchronised === false)
    return [finding('machine', 'warning', 'the clock is not synchronised by NTP', set)]
  return synchronised
    ? []
    : [
        finding(
          'machine',
          'info',
          'it is not known whether the clock is right: no server answers, and no time service runs',
        ),
      ]
}
