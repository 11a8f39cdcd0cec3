// A small HTTP server: routes in, answers out, faults on request.
import { createServer } from 'node:http'
import { onStop } from './process.mjs'

/** @typedef {{ status: number, headers?: Record<string, string | string[]>, body?: string }} Answer */
/** @typedef {{ method: string, path: string, query: URLSearchParams, headers: Record<string, string>, secure: boolean, host: string, address: string, body: string, json(): any, form(): URLSearchParams }} Request */

/** @returns {Answer} */
export const json = (status, value, headers = {}) => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
  body: JSON.stringify(value),
})
/** @returns {Answer} */
export const html = (status, body, headers = {}) => ({
  status,
  headers: { 'content-type': 'text/html; charset=utf-8', ...headers },
  body,
})
/** @returns {Answer} */
export const text = (status, body, headers = {}) => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
  body,
})
/** @returns {Answer} */
export const redirect = (to, status = 302, headers = {}) => ({
  status,
  headers: { location: to, ...headers },
  body: '',
})

/** A page with this title and content. */
export const page = (title, content) =>
  `<!doctype html><html><head><meta charset="utf-8"><title>${title}</title></head><body>${content}</body></html>`

/**
 * Serves routes, `METHOD /path` to a function of the request; `before` may answer first (redirects, host checks).
 * @param {{ port: number, host?: string, routes: Record<string, (request: Request) => Answer | Promise<Answer>>, contract: object, faults: Map<string, number>, log: object, before?: (request: Request) => Answer | undefined, headers?: Record<string, string> }} options
 */
export async function serve({
  port,
  host = '0.0.0.0',
  routes,
  contract,
  faults,
  log,
  before,
  headers = {},
}) {
  const all = { ...fixedAnswers(contract), ...routes }
  const server = createServer(async (incoming, outgoing) => {
    const started = Date.now()
    const request = await readRequest(incoming).catch(() => undefined)
    if (!request) return outgoing.destroy()
    if (faults.has('hang')) return log.info('hanging', { path: request.path })
    const answer = await answerTo(request, all, before, faults, log)
    outgoing.writeHead(answer.status, {
      ...headers,
      ...answer.headers,
      'content-length': Buffer.byteLength(answer.body ?? ''),
    })
    outgoing.end(request.method === 'HEAD' ? '' : (answer.body ?? ''))
    log.info('request', {
      method: request.method,
      path: request.path,
      status: answer.status,
      duration: Date.now() - started,
    })
  })
  onStop(() => {
    server.close()
    server.closeAllConnections()
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  log.info('listening', { port })
  return server
}

function fixedAnswers(contract) {
  return Object.fromEntries(
    Object.entries(contract.answers).map(([route, { status, body }]) => [
      route,
      () => json(status, body),
    ]),
  )
}

async function answerTo(request, routes, before, faults, log) {
  if (faults.has('http500')) return json(500, { error: 'STANDIN_FAULT=http500' })
  const method = request.method === 'HEAD' ? 'GET' : request.method
  try {
    const early = before?.(request)
    if (early) return early
    const route =
      routes[`${method} ${request.path}`] ??
      routes[`${method} ${request.path.replace(/\/[0-9]+(?=\/|$)/g, '/:id')}`]
    if (route) return await route(request)
    const others = Object.keys(routes)
      .filter(key => key.endsWith(` ${request.path}`))
      .map(key => key.split(' ')[0])
    return others.length
      ? text(405, 'Method not allowed', { allow: others.join(', ') })
      : text(404, 'Not found')
  } catch (error) {
    if (error instanceof SyntaxError) return json(400, { error: 'the body is not JSON' })
    log.error('request failed', { path: request.path, reason: error.message })
    return json(500, { error: 'Internal server error' })
  }
}

/** @returns {Promise<Request>} */
async function readRequest(incoming) {
  let body = ''
  for await (const chunk of incoming) if ((body += chunk).length > 1_000_000) break
  const url = new URL(incoming.url ?? '/', 'http://nowhere')
  const { headers } = incoming
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers,
    body,
    host: headers.host ?? '',
    address: incoming.socket.remoteAddress ?? '',
    secure: headers['x-forwarded-proto'] === 'https',
    json: () => JSON.parse(body || '{}'),
    form: () => new URLSearchParams(body),
  }
}
