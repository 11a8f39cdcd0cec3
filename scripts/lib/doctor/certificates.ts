// What the doctor asks and says of the certificates that the edge really serves. The judge is pure.
import { checkServerIdentity, connect } from 'node:tls'
import type { ComposeConfig } from '../compose/stack.ts'
import { finding, type Finding } from './finding.ts'

const day = 86_400_000
/**
 * Days left that are an error: Traefik renews 30 days before the end, so renewal has failed for
 * weeks.
 */
const least = 14

/** What was served for a host. */
export interface ServedCertificate {
  host: string
  /** Nobody answered. */
  silence?: string
  /** Traefik's own certificate, made at its start when it has no other. */
  standIn?: boolean
  /** ms of the clock. */
  until?: number
  /** Why a browser would refuse it for another reason than time. */
  otherHost?: string
  untrusted?: string
}

/** The service and the port on this machine where the edge speaks TLS. */
export function findTlsEdge(all: ComposeConfig): { service: string; port: number } | undefined {
  for (const [service, { ports }] of Object.entries(all.services))
    for (const { target, published } of ports ?? [])
      if (target === 8443 && published) return { service, port: Number(published) }
  return undefined
}

/** Every host that the routers' rules name. */
export function listRoutedHosts(all: ComposeConfig): string[] {
  const labels = Object.values(all.services).flatMap(service =>
    Object.entries(service.labels ?? {}),
  )
  const rules = labels.filter(([key]) => /^traefik\.http\.routers\.[\w-]+\.rule$/.test(key))
  return [
    ...new Set(
      rules.flatMap(([, rule]) =>
        [...rule.matchAll(/Host\(`([^`]+)`\)/g)].map(([, host]) => host!),
      ),
    ),
  ].sort()
}

/** Shakes hands for a host and looks at the certificate. */
export const fetchCertificate = (host: string, port: number): Promise<ServedCertificate> =>
  new Promise(resolve => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: host,
      rejectUnauthorized: false,
      timeout: 5_000,
    })
    const end = (answer: Omit<ServedCertificate, 'host'>) => {
      socket.destroy()
      resolve({ host, ...answer })
    }
    socket.on('timeout', () => end({ silence: 'no answer in 5 s' }))
    socket.on('error', error => end({ silence: error.message }))
    socket.on('secureConnect', () => {
      const certificate = socket.getPeerCertificate()
      const other = checkServerIdentity(host, certificate)
      end({
        standIn: certificate.subject?.CN === 'TRAEFIK DEFAULT CERT',
        until: Date.parse(certificate.valid_to),
        ...(other
          ? { otherHost: certificate.subjectaltname ?? String(certificate.subject?.CN ?? '') }
          : {}),
        ...(socket.authorized ? {} : { untrusted: String(socket.authorizationError) }),
      })
    })
  })

/** `real`: production, where visitors must see a certificate that their browsers trust. */
export function judgeCertificates(
  all: ServedCertificate[],
  real: boolean,
  project: string,
  service: string,
  now: number,
): Finding[] {
  const groups = new Map<string, { severity: Finding['severity']; hosts: string[] }>()
  for (const one of all) {
    const fault = faultOf(one, real, now)
    if (!fault) continue
    const [severity, words] = fault
    const group = groups.get(words) ?? { severity, hosts: [] }
    group.hosts.push(one.host)
    groups.set(words, group)
  }
  const next = `docker compose -p ${project} logs --since 24h ${service} | grep -iE 'acme|tls|error'`
  return [...groups].map(([words, { severity, hosts }]) =>
    finding('certificates', severity, `${hosts.join(', ')}: ${words}`, next),
  )
}

function faultOf(
  { silence, standIn, until = 0, otherHost, untrusted }: ServedCertificate,
  real: boolean,
  now: number,
): [Finding['severity'], string] | undefined {
  if (silence) return ['error', `no server answers over TLS: ${silence}`]
  if (standIn)
    return real ? ['error', "Traefik's own certificate is served: none was issued"] : undefined
  const left = Math.floor((until - now) / day)
  if (left < 0) return ['error', 'the certificate has expired']
  if (left < least) return ['error', `the certificate has ${left} days left`]
  if (otherHost && real) return ['error', `the certificate is for another host (${otherHost})`]
  return untrusted && real
    ? ['warning', `this machine does not trust the certificate's issuer (${untrusted})`]
    : undefined
}
