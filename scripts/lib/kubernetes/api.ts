// Asks the API server without a process for each question: through one `kubectl proxy`.
import { Agent, request, type IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import { Failure, exit } from '../errors.ts'
import { writeStderr } from '../output.ts'
import { formatDuration } from '../report.ts'
import { parseRetryAfter, retryAttempts, type Attempt } from '../retry.ts'
import { blockWhenEnding } from '../interrupt.ts'
import type { Environment } from './environment.ts'
import { requireKubeContext } from './kube-context.ts'
import { findKubectlProxy, forgetProxy } from './kubectl-proxy.ts'
import { type Manifest } from './objects.ts'
import { addWordsBefore, kubectlArgv, listSaidLines } from './kubectl.ts'

export interface ApiRequest {
  /** GET, where nothing else is said. */
  method?: 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  body?: unknown
  /** JSON, where nothing else is said. */
  contentType?: string
  /** ms, a minute where nothing else is said; Infinity for a watch. */
  timeout?: number
  signal?: AbortSignal
  onOutput?: (text: string) => void
  /** What is being done, for the error. */
  what?: string
}

/** What has been answered; `status` 0: nobody has, and `text` says why. */
export interface ApiAnswer {
  status: number
  text: string
  /** ms of the cluster's clock, in whole seconds; of this machine's where nobody has answered. */
  time: number
}

export const isApiSuccess = ({ status }: ApiAnswer): boolean => status >= 200 && status < 300

/** An API server that is too busy is asked again ten times, as kubectl does, each time when it says. */
const busyDelays = Array<number>(10).fill(0)

/**
 * Asks the API server in the environment's context. Out: its answer, whatever that is. Throws
 * Failure (refused) when there is no kubectl, or no such context.
 */
export async function requestApi(
  environment: Environment,
  path: string,
  options: ApiRequest = {},
): Promise<ApiAnswer> {
  requireKubeContext(environment, options.what ?? `Ask the cluster of ${environment.name}`)
  await blockWhenEnding()
  // what only reads may be asked over another connection
  let reconnects = options.method ? 0 : 1
  const ask = async (): Promise<Attempt<ApiAnswer, ApiAnswer>> => {
    const proxy = findKubectlProxy(environment, options.what)
    const socket = await proxy.socket
    if (process.env.DEBUG) writeStderr(`$ ${options.method ?? 'GET'} ${path}\n`)
    const { retryAfter, proxyLost, ...answer } = await send(socket, path, options)
    await blockWhenEnding()
    if (proxyLost) forgetProxy(proxy)
    if ((proxyLost || isConnectionLost(answer)) && reconnects-- > 0) return { why: answer, wait: 0 }
    if (retryAfter) return { why: answer, wait: retryAfter }
    return { done: addPluginWords(answer, proxy.said) }
  }
  const outcome = await retryAttempts(ask, busyDelays)
  return 'done' in outcome ? outcome.done : outcome.why
}

/** Whether the connection to the API server has ended before its answer. */
const isConnectionLost = ({ status, text }: ApiAnswer): boolean =>
  status >= 500 && /(EOF|connection reset by peer|connection lost)$/.test(text.trim())

/** Where a login plug-in has failed: what it said itself, which `kubectl proxy` only prints. */
function addPluginWords(answer: ApiAnswer, said: string): ApiAnswer {
  if (answer.status < 500 || !/^getting credentials: /.test(answer.text)) return answer
  const words = listSaidLines(said).filter(line => !line.startsWith('Starting to serve'))
  // what comes after its first line is advice
  return { ...answer, text: addWordsBefore(answer.text.trim().split('\n')[0] ?? '', words) }
}

/** The answer's object. Throws Failure (refused) with the API server's words when it is none. */
export function requireApiSuccess<T = Manifest>(
  environment: Environment,
  answer: ApiAnswer,
  what?: string,
): T {
  if (isApiSuccess(answer)) return JSON.parse(answer.text) as T
  throw new Failure(
    exit.refused,
    what ?? `Ask the cluster of ${environment.name}`,
    describeApiError(answer),
    { next: `${kubectlArgv(environment).join(' ')} get pods` },
  )
}

/** What an answer says that is no success, as kubectl says it. */
export function describeApiError({ status, text }: ApiAnswer): string {
  if (status === 401) return 'You must be logged in to the server (Unauthorized)'
  const said = text.startsWith('{') ? (JSON.parse(text) as Record<string, string>) : undefined
  if (said) return `Error from server (${said.reason ?? status}): ${said.message ?? text}`
  if (status === 404) return 'the server could not find the requested resource'
  // of the proxy, not of the server
  const refused = /dial tcp (\S+): connect: connection refused/.exec(text)
  return refused
    ? `The connection to the server ${refused[1]} was refused - did you specify the right host or port?`
    : `Unable to connect to the server: ${text.trim() || `HTTP ${status}`}`
}

/**
 * Opens a WebSocket to the API server; nothing when that does not come about, whatever the reason.
 * It is paused: who listens to it resumes it.
 * Throws Failure (refused) when there is no kubectl, or no such context.
 */
export async function openWebSocket(
  environment: Environment,
  path: string,
  protocol: string,
): Promise<WebSocket | undefined> {
  requireKubeContext(environment, `Ask the cluster of ${environment.name}`)
  await blockWhenEnding()
  const proxy = findKubectlProxy(environment)
  const file = await proxy.socket
  if (proxy.withoutWebSocket) return undefined
  if (process.env.DEBUG) writeStderr(`$ GET ${path}\n`)
  const options = { headers: { host: 'localhost' }, handshakeTimeout: 15_000 }
  const socket = new WebSocket(`ws+unix:${file}:${path}`, protocol, options)
  return new Promise(done => {
    socket.on('open', () => {
      // before the caller listens the first messages may be there
      socket.pause()
      done(socket)
    })
    socket.on('error', () => {
      // behind some proxies it is known only after the whole time: once is enough
      proxy.withoutWebSocket = true
      done(undefined)
    })
  })
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 })

interface ServedAnswer extends ApiAnswer {
  /** ms after which it wants to be asked again. */
  retryAfter?: number
  /** The proxy itself did not answer. */
  proxyLost?: boolean
}

function send(socketPath: string, path: string, options: ApiRequest): Promise<ServedAnswer> {
  const { method = 'GET', body, contentType = 'application/json', timeout = 60_000 } = options
  const late = Number.isFinite(timeout) ? AbortSignal.timeout(timeout) : undefined
  const signal = AbortSignal.any([late, options.signal].filter(one => one !== undefined))
  return new Promise(done => {
    const fail = ({ message }: Error) => {
      const why = late?.aborted ? `nothing within ${formatDuration(timeout)}` : message
      done({ status: 0, text: why, time: Date.now(), proxyLost: !signal.aborted })
    }
    const headers = { host: 'localhost', 'content-type': contentType }
    // a watch holds its connection
    const connection = { socketPath, agent: late ? agent : (false as const) }
    const call = request({ ...connection, path, method, headers, signal }, answer =>
      receive(answer, options.onOutput).then(done, fail),
    )
    call.on('error', fail).end(body === undefined ? undefined : JSON.stringify(body))
  })
}

async function receive(
  answer: IncomingMessage,
  onOutput?: (text: string) => void,
): Promise<ServedAnswer> {
  let text = ''
  for await (const part of answer.setEncoding('utf8') as AsyncIterable<string>) {
    if (onOutput) onOutput(part)
    else text += part
  }
  const status = answer.statusCode ?? 0
  const wait = status === 429 || status >= 500 ? parseRetryAfter(answer.headers['retry-after']) : 0
  return {
    status,
    text,
    time: Date.parse(answer.headers.date ?? '') || Date.now(),
    ...(wait ? { retryAfter: wait } : {}),
  }
}
