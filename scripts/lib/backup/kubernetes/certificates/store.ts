// The file that Traefik keeps certificates in (acme.json): by resolver its account at the authority, and
// the certificates with their keys. Pure.
import { createPrivateKey, X509Certificate } from 'node:crypto'

/** As Traefik writes it; what else stands there stays. */
export interface StoredCertificate {
  domain: { main: string; sans?: string[] | null }
  /** PEM in base64, the chain behind it. */
  certificate: string
  key: string
}

interface StoredResolver {
  Account?: unknown
  Certificates?: StoredCertificate[] | null
}

/** By resolver. */
export type CertificateStore = Record<string, StoredResolver>

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isCertificate = (value: unknown): boolean =>
  isObject(value) &&
  isObject(value.domain) &&
  typeof value.domain.main === 'string' &&
  (value.domain.sans ?? []) instanceof Array

/** What such a file says; an empty one nothing. undefined: it is not whole, or something else. */
export function parseStore(text: string): CertificateStore | undefined {
  if (!text.trim()) return {}
  try {
    const store: unknown = JSON.parse(text)
    if (!isObject(store)) return undefined
    // a resolver that has asked for nothing yet may be null
    const known = Object.entries(store).filter(([, one]) => one !== null)
    const isWhole = ([, one]: [string, unknown]) =>
      isObject(one) &&
      (one.Certificates ?? []) instanceof Array &&
      ((one.Certificates ?? []) as unknown[]).every(isCertificate)
    return known.every(isWhole) ? (Object.fromEntries(known) as CertificateStore) : undefined
  } catch {
    return undefined
  }
}

const namesOf = ({ domain: { main, sans } }: StoredCertificate): string[] => [main, ...(sans ?? [])]

/** Until when a certificate is good, ms; 0 where it cannot be read or is not of its key. */
export function validUntil({ certificate, key }: StoredCertificate): number {
  try {
    const read = new X509Certificate(Buffer.from(certificate, 'base64'))
    const own = read.checkPrivateKey(createPrivateKey(Buffer.from(key, 'base64')))
    return own ? Date.parse(read.validTo) : 0
  } catch {
    return 0
  }
}

/** Whether a certificate's name, which may begin with `*.`, stands for a host. */
const standsFor = (name: string, host: string): boolean =>
  name === host || (name.startsWith('*.') && host.slice(host.indexOf('.')) === name.slice(1))

/** What of a file belongs to these hosts by these resolvers: the good certificates, with the accounts. */
export const selectForHosts = (
  store: CertificateStore,
  resolvers: string[],
  hosts: string[],
  now: number,
): CertificateStore =>
  Object.fromEntries(
    Object.entries(store)
      .filter(([resolver]) => resolvers.includes(resolver))
      .map(([resolver, one]) => [
        resolver,
        {
          ...one,
          Certificates: (one.Certificates ?? []).filter(
            own =>
              validUntil(own) > now &&
              namesOf(own).some(name => hosts.some(host => standsFor(name, host))),
          ),
        },
      ]),
  )

/** How many certificates a file has. */
export const countCertificates = (store: CertificateStore): number =>
  Object.values(store).reduce((sum, { Certificates }) => sum + (Certificates ?? []).length, 0)

/**
 * Adds what was saved to what is there: a certificate that is still good, unless those that are there
 * stand for all its names and are good for as long. It takes the place of one with the same names. An
 * account that is there stays. Out: the whole, and the first name of each certificate that was added.
 */
export function mergeStores(
  here: CertificateStore,
  saved: CertificateStore,
  now: number,
): { store: CertificateStore; added: string[] } {
  const store = { ...here }
  const added: string[] = []
  const all = Object.values(here).flatMap(({ Certificates }) => Certificates ?? [])
  for (const [resolver, { Account, Certificates: theirs }] of Object.entries(saved)) {
    const wanted = (theirs ?? []).filter(one => validUntil(one) > now && !isCovered(one, all))
    if (!wanted.length) continue
    added.push(...wanted.map(({ domain }) => domain.main))
    const known = here[resolver]
    const own = (known?.Certificates ?? []).filter(
      one => !wanted.some(other => isOfSameNames(one, other)),
    )
    store[resolver] = {
      ...known,
      Account: known?.Account ?? Account,
      Certificates: [...own, ...wanted],
    }
  }
  return { store, added }
}

const isCovered = (one: StoredCertificate, all: StoredCertificate[]): boolean => {
  const until = validUntil(one)
  const asGood = all.filter(other => validUntil(other) >= until).flatMap(namesOf)
  return namesOf(one).every(host => asGood.some(name => standsFor(name, host)))
}

const isOfSameNames = (one: StoredCertificate, other: StoredCertificate): boolean =>
  namesOf(one).sort().join() === namesOf(other).sort().join()
