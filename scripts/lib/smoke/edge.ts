// Requests through the edge by host name. Node does not resolve *.localhost, and a test machine has
// no DNS: the connection can go to an address of its own, with Host and SNI as they would be.
import { Agent as PlainAgent } from 'node:http'
import { Agent } from 'node:https'
import { isIP } from 'node:net'
import fetch from 'node-fetch'
import { loadProxyAgents } from '../http.ts'
import { WebSocket } from 'ws'

export interface EdgeResponse {
  status: number
  headers: Headers | import('node-fetch').Headers
  body: string
  ms: number
}

export interface EdgeRequest {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** ms */
  timeout?: number
}

export interface Edge {
  /**
   * Asks an address; redirects are not followed. Throws with the address and the cause when nobody
   * answers.
   */
  get: (url: string, ask?: EdgeRequest) => Promise<EdgeResponse>
  /** Upgrades to a WebSocket and returns the first message (text). */
  websocket: (url: string, protocol: string) => Promise<string>
}

/**
 * Where connections go, `host[:port]`: without a port to the address's own, without anything where
 * DNS leads.
 */
interface Connect {
  https?: string
  http?: string
}

/** An edge that listens on this machine; `http` is its port for plain HTTP. */
export const localEdge = (verify: boolean, http = '80'): Edge =>
  edgeAt({ https: '127.0.0.1', http: `127.0.0.1:${http}` }, verify)

/** ms that a WebSocket has for its first message. */
const greetingTimeoutMs = 5_000

/**
 * `verify`: whether certificates must be valid (production) or may be Traefik's own (demo,
 * development).
 */
export function edgeAt(connect: Connect, verify: boolean): Edge {
  const secure = (keepAlive: boolean) =>
    directed(new Agent({ rejectUnauthorized: verify, keepAlive }), connect.https)
  const agents = { 'https:': secure(true), 'http:': directed(new PlainAgent(), connect.http) }
  // who leads to an address of his own means that one
  const proxies = connect.https ? undefined : loadProxyAgents(verify)
  const chooseAgent = async () => {
    const proxyOf = await proxies
    return (url: URL) => proxyOf?.(url) ?? agents[url.protocol as keyof typeof agents]
  }

  return {
    async get(url, ask = {}) {
      const start = Date.now()
      const { timeout = 10_000, ...init } = ask
      try {
        const response = await fetch(url, {
          redirect: 'manual',
          agent: await chooseAgent(),
          signal: AbortSignal.timeout(timeout),
          ...init,
        })
        return {
          status: response.status,
          headers: response.headers,
          body: await response.text(),
          ms: Date.now() - start,
        }
      } catch (error) {
        throw new Error(
          `${url}: ${(error as Error).name === 'AbortError' ? `no answer in ${timeout} ms` : (error as Error).message}`,
        )
      }
    },

    async websocket(url, protocol) {
      const proxy = (await proxies)?.(new URL(url.replace(/^ws/, 'http')))
      const socket = new WebSocket(url, protocol, {
        agent: proxy ?? secure(false),
        origin: new URL(url).origin,
        handshakeTimeout: 10_000,
      })
      return new Promise<string>((resolve, reject) => {
        const fail = (words: string) => reject(new Error(words))
        socket.on('open', () =>
          setTimeout(fail, greetingTimeoutMs, 'the WebSocket said nothing in 5000 ms').unref(),
        )
        socket.on('message', (greeting: Buffer) => resolve(greeting.toString()))
        socket.on('unexpected-response', (_, { statusCode }) =>
          fail(`${url}: answered ${statusCode} instead of upgrading to a WebSocket`),
        )
        socket.on('error', reject)
      }).finally(() => socket.terminate())
    },
  }
}

/**
 * The agent, connecting to another address; the name that it asks TLS for stays the address's,
 * whatever the Host header says.
 */
function directed<T extends PlainAgent>(agent: T, to?: string): T {
  const own = agent as unknown as {
    createConnection: (options: Record<string, unknown>, ...rest: unknown[]) => unknown
  }
  const create = own.createConnection.bind(agent)
  const [host, port] = to?.split(':') ?? []
  own.createConnection = (options, ...rest) =>
    create(
      {
        ...options,
        servername: isIP(String(options.host)) ? '' : options.host,
        ...(host ? { host } : {}),
        ...(port ? { port } : {}),
      },
      ...rest,
    )
  return agent
}
