// A stand-in for the part of GitHub's API that knows deployments, on this machine; it refuses what
// GitHub refuses.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Recorded {
  id: number
  sha: string
  environment: string
  payload: unknown
  request: Record<string, unknown>
  /** The oldest first. */
  statuses: { id: number; state: string; description: string; log_url?: string }[]
}

/** What answers instead of the stand-in; nothing when it hangs. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => unknown
export const status =
  (code: number, message = '', headers = {}): Answer =>
  response =>
    response
      .writeHead(code, { 'Content-Type': 'application/json', ...headers })
      .end(JSON.stringify({ message }))
export const hang: Answer = () => undefined

const token = 'canaryGitHubToken0123456789'

/**
 * Starts one; it ends with the process. `commits` are those that the repository has, all when it is
 * not given.
 */
export async function gitHubStandIn({
  repository = 'kgc/stack',
  commits,
}: { repository?: string; commits?: string[] } = {}) {
  const deployments: Recorded[] = []
  /** Method and path of each request, in order. */
  const requests: string[] = []
  /** Answers of the next requests, before it answers itself again. */
  const answers: Answer[] = []
  let number = 0

  const server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request) text += String(piece)
    const { pathname, searchParams } = new URL(request.url!, 'http://x')
    requests.push(`${request.method} ${pathname}`)
    const own = answers.shift()
    if (own) return own(response, request)
    const json = (code: number, body: unknown) =>
      response
        .writeHead(code, { 'Content-Type': 'application/json; charset=utf-8' })
        .end(JSON.stringify(body))
    if (request.headers.authorization !== `token ${token}`)
      return json(401, { message: 'Bad credentials' })
    const [, rest] = new RegExp(`^/repos/${repository}/deployments(.*)$`).exec(pathname) ?? []
    if (rest === undefined) return json(404, { message: 'Not Found' })
    const body = text ? (JSON.parse(text) as Record<string, any>) : {}
    if (rest === '' && request.method === 'GET')
      return json(
        200,
        deployments
          .filter(one => asked(one, searchParams))
          .reverse()
          .map(shown),
      )
    if (rest === '') {
      if (commits && !commits.includes(body.ref))
        return json(422, { message: `No ref found for: ${body.ref}` })
      if (!body.environment || body.description?.length > 140)
        return json(422, { message: 'Validation Failed' })
      deployments.push({
        id: ++number,
        sha: body.ref,
        environment: body.environment,
        payload: body.payload,
        request: body,
        statuses: [],
      })
      return json(201, shown(deployments.at(-1)!))
    }
    const one = deployments.find(({ id }) => rest === `/${id}/statuses`)
    if (!one) return json(404, { message: 'Not Found' })
    if (request.method === 'GET') return json(200, [...one.statuses].reverse())
    if (
      !/^(error|failure|inactive|in_progress|queued|pending|success)$/.test(body.state) ||
      [...body.description].length > 140
    )
      return json(422, { message: 'Validation Failed' })
    if (body.state === 'success')
      for (const { id, environment, statuses } of deployments)
        if (id < one.id && environment === one.environment && statuses.at(-1)?.state === 'success')
          statuses.push({ id: ++number, state: 'inactive', description: '' })
    one.statuses.push({
      id: ++number,
      state: body.state,
      description: body.description,
      ...(body.log_url ? { log_url: body.log_url } : {}),
    })
    return json(201, one.statuses.at(-1))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  server.unref()

  const asked = (one: Recorded, by: URLSearchParams) =>
    (['sha', 'environment'] as const).every(name => !by.has(name) || by.get(name) === one[name])
  const shown = ({ id, sha, environment, payload }: Recorded) => ({ id, sha, environment, payload })
  const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    deployments,
    requests,
    answers,
    token,
    /** What a workflow's step would have in its environment. */
    env: { GITHUB_API_URL: api, GITHUB_REPOSITORY: repository, GITHUB_TOKEN: token },
    states: (id = deployments.at(-1)?.id) =>
      deployments.find(one => one.id === id)?.statuses.map(({ state }) => state) ?? [],
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
