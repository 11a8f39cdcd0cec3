// Requests to the web go the way that HTTP_PROXY, HTTPS_PROXY and NO_PROXY say, by the rules that
// kubectl, docker and git follow, too (https://pkg.go.dev/golang.org/x/net/http/httpproxy).
import type { Agent } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'
import fetch, { AbortError, type RequestInfo, type RequestInit, type Response } from 'node-fetch'
import { keepSecret } from './redact.ts'

type Variables = Record<string, string | undefined>

/** The proxy that a request to an address takes; undefined when it takes none. */
export function findProxyAddress(url: URL, env: Variables = process.env): string | undefined {
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy'
  const read = (name: string) => env[name.toUpperCase()] || env[name] || ''
  const proxy = read(name)
  if (!proxy || isLocal(url) || isExcluded(url, read('no_proxy'))) return undefined
  const whole = proxy.includes('://') ? proxy : `http://${proxy}`
  if (URL.canParse(whole)) keepSecret(decodeURIComponent(new URL(whole).password))
  return whole
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '').toLowerCase()

/** This machine itself is never asked through a proxy. */
const isLocal = (url: URL): boolean => {
  const host = hostOf(url)
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Whether NO_PROXY names it: a name with all below it, an address, a range, with or without a port. */
function isExcluded(url: URL, list: string): boolean {
  const host = hostOf(url)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return list
    .split(/[\s,]+/)
    .filter(Boolean)
    .some(entry => {
      const [, name = '', only] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(
        isIPv6(entry) || entry.includes('/') ? `[${entry}]` : entry.toLowerCase(),
      )!
      if (only && only !== port) return false
      if (name === '*') return true
      if (name.includes('/')) return isInRange(host, name)
      const bare = name.replace(/^\*?\./, '')
      return host === bare ? bare === name : !isIP(host) && host.endsWith(`.${bare}`)
    })
}

function isInRange(host: string, range: string): boolean {
  const [network = '', bits] = range.split('/')
  const longest = isIPv6(network) ? 128 : 32
  if (!isIP(host) || !isIP(network) || !(Number(bits) <= longest)) return false
  const ranges = new BlockList()
  ranges.addSubnet(network, Number(bits), isIPv6(network) ? 'ipv6' : 'ipv4')
  return ranges.check(host, isIPv6(host) ? 'ipv6' : 'ipv4')
}

/** Who asks; a test puts another in its place. */
export const webClient = { fetch }

/** node-fetch, through the proxy where one is set. Throws its AbortError for a signal that comes, or came before. */
export async function fetchWeb(
  address: URL | RequestInfo,
  init: RequestInit = {},
): Promise<Response> {
  const agentOf = await loadProxyAgents()
  // node-fetch 3.3.2 destroys the body of a request that it never sends, and nobody hears that error
  if (init.signal?.aborted) throw new AbortError('The operation was aborted.')
  return webClient.fetch(address, { ...(agentOf ? { agent: agentOf } : {}), ...init })
}

/**
 * The agent for each address by its proxy; undefined where no proxy is set. `verify`: whether the
 * certificate at the other end must be valid.
 */
export async function loadProxyAgents(
  verify = true,
): Promise<((url: URL) => Agent | undefined) | undefined> {
  const set = ['http_proxy', 'https_proxy'].some(
    name => process.env[name] || process.env[name.toUpperCase()],
  )
  if (!set) return undefined
  const { HttpsProxyAgent } = await import('https-proxy-agent')
  const { HttpProxyAgent } = await import('http-proxy-agent')
  return url => {
    const proxy = findProxyAddress(url)
    if (!proxy) return undefined
    return url.protocol === 'https:'
      ? new HttpsProxyAgent(proxy, { rejectUnauthorized: verify })
      : new HttpProxyAgent(proxy)
  }
}

const untrustedCodes = [
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]

/** Why nothing came back, by the code of a network error, with what helps where that is known. */
export const describeNetworkCode = (code: string): string =>
  untrustedCodes.includes(code)
    ? `${code}: export NODE_EXTRA_CA_CERTS=FILE names its certificate authority`
    : code
