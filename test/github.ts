// A stand-in for the part of GitHub's API that the scripts ask, on this machine; it refuses what
// GitHub refuses. Every request and answer is as GitHub's own description has it (openapi.ts): a file
// whose scripts ask otherwise fails at its end.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { checkAnswer, checkRequest, completeAnswer, type Call } from './openapi.ts'

type Json = Record<string, any>

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
/** The stand-in itself answers this one. */
export const pass: Answer = () => undefined

const token = 'canaryGitHubToken0123456789'

/** A repository that the stand-in has; by its full name. */
export interface StandInRepository {
  private?: boolean
  parent?: string
  /** When it was made. */
  created?: Date
  /** Its name now: the old one leads to it. */
  renamed?: string
  /** Notes by tag. */
  releases?: Record<string, string>
  advisories?: Json[]
  /** Its answer to `base...head`. */
  compare?: Record<string, { ahead_by: number; behind_by: number }>
}

export interface StandInOptions {
  repository?: string
  /** Those that the repository has, all when it is not given. */
  commits?: string[]
  /** Those besides, all of them public. */
  repositories?: Record<string, StandInRepository>
  organizations?: string[]
  /** Makes what git serves of a fork; it comes when it is made. */
  onFork?: (from: string, to: string) => Promise<unknown> | unknown
}

interface Reply {
  code: number
  body: unknown
  headers?: Record<string, string>
}
const notFound: Reply = { code: 404, body: { message: 'Not Found' } }
const invalid = (message = 'Validation Failed'): Reply => ({
  code: 422,
  body: { message, documentation_url: 'https://docs.github.com/rest' },
})

/** What was asked, or would be answered, otherwise than GitHub's description has it. */
const faults: string[] = []
process.once('exit', () => {
  if (!faults.length) return
  console.error(`Not as GitHub's API is described:\n${faults.join('\n')}`)
  process.exitCode = 1
})

/** Starts one; it ends with the process. */
export async function gitHubStandIn({
  repository = 'kgc/stack',
  commits,
  repositories = {},
  organizations = [],
  onFork = () => {},
}: StandInOptions = {}) {
  const deployments: Recorded[] = []
  const pulls: Json[] = []
  const known: Record<string, StandInRepository> = { [repository]: {}, ...repositories }
  /** Method and path of each request, in order. */
  const requests: string[] = []
  /** Answers of the next requests, before it answers itself again. */
  const answers: Answer[] = []
  let number = 0

  /** What the stand-in says to a request; undefined for what it does not know. */
  function reply(call: Call, parts: string[], query: URLSearchParams): Reply {
    const [kind, owner = '', name = '', topic, ...rest] = parts
    const body = (call.body ?? {}) as Json
    if (kind === 'users') return user(owner)
    const full = findName(`${owner}/${name}`)
    const one = full && known[full]
    if (!full || !one) return notFound
    if (!topic) return { code: 200, body: described(full) }
    const get = call.method === 'GET'
    if (topic === 'forks') return fork(full, body)
    if (topic === 'compare') return comparison(one, rest.join('/'))
    if (topic === 'releases' && rest[0] === 'tags') return release(one, rest.slice(1).join('/'))
    if (topic === 'security-advisories') return advisoryPage(one, call, query)
    if (topic === 'pulls') return get ? listPulls(query) : openPull(full, body)
    if (topic !== 'deployments') return notFound
    if (!rest.length) return get ? listDeployments(query) : deploy(body)
    return get ? listStatuses(Number(rest[0])) : setStatus(Number(rest[0]), body)
  }

  const findName = (name: string) =>
    Object.keys(known).find(one => one.toLowerCase() === name.toLowerCase())

  const user = (login: string): Reply => ({
    code: 200,
    body: { login, type: organizations.includes(login) ? 'Organization' : 'User' },
  })

  const owned = (full: string) => {
    const [login = '', name = ''] = full.split('/')
    return { full_name: full, name, owner: { login }, html_url: `https://github.com/${full}` }
  }
  const described = (full: string) => {
    const { parent, renamed = full, created, private: hidden = false } = known[full] ?? {}
    const above = parent ? { parent: owned(parent), source: owned(parent) } : {}
    const created_at = (created ?? new Date(0)).toISOString()
    const more = { private: hidden, fork: Boolean(parent), default_branch: 'main', created_at }
    return { ...owned(renamed), ...more, ...above }
  }

  function fork(full: string, { organization, name, ...more }: Json): Reply {
    const [, own = ''] = full.split('/')
    if (organization && !organizations.includes(organization)) return invalid()
    const made = `${organization ?? repository.split('/')[0]}/${name ?? own}`
    if (!findName(made)) {
      known[made] = { ...more, parent: full }
      // GitHub copies in the background
      void onFork(full, made)
    }
    return { code: 202, body: described(made) }
  }

  const comparison = ({ compare = {} }: StandInRepository, basehead: string): Reply =>
    compare[basehead]
      ? { code: 200, body: { status: 'diverged', ...compare[basehead], commits: [], files: [] } }
      : notFound

  const release = ({ releases = {} }: StandInRepository, tag: string): Reply =>
    releases[tag] === undefined
      ? notFound
      : { code: 200, body: { tag_name: tag, body: releases[tag], html_url: `https://x/${tag}` } }

  /** GitHub pages through them by a cursor. */
  function advisoryPage(one: StandInRepository, call: Call, query: URLSearchParams): Reply {
    const size = Number(query.get('per_page') ?? 30)
    const from = Number(query.get('after') ?? 0)
    const all = one.advisories ?? []
    const [path] = call.url.split('?')
    query.set('after', String(from + size))
    const more = from + size < all.length
    const link = more ? { Link: `<${api()}${path}?${query.toString()}>; rel="next"` } : {}
    return { code: 200, body: all.slice(from, from + size), headers: link as {} }
  }

  const listPulls = (query: URLSearchParams): Reply => ({
    code: 200,
    body: pulls.filter(({ head }) => head.label === query.get('head')),
  })

  function openPull(full: string, { head, base, title, body = '' }: Json): Reply {
    const label = `${full.split('/')[0]}:${head}`
    if (pulls.some(one => one.head.label === label)) return invalid('A pull request already exists')
    const html_url = `https://github.com/${full}/pull/${++number}`
    pulls.push({ number, title, body, html_url, head: { label, ref: head }, base: { ref: base } })
    return { code: 201, body: pulls.at(-1) }
  }

  const asked = (one: Recorded, by: URLSearchParams) =>
    (['sha', 'environment'] as const).every(name => !by.has(name) || by.get(name) === one[name])
  const shown = ({ id, sha, environment, payload }: Recorded) => ({ id, sha, environment, payload })
  const listDeployments = (query: URLSearchParams): Reply => ({
    code: 200,
    body: deployments
      .filter(one => asked(one, query))
      .reverse()
      .map(shown),
  })

  function deploy(body: Json): Reply {
    if (commits && !commits.includes(body.ref)) return invalid(`No ref found for: ${body.ref}`)
    if (!body.environment || body.description?.length > 140) return invalid()
    const { ref: sha, environment, payload } = body
    deployments.push({ id: ++number, sha, environment, payload, request: body, statuses: [] })
    return { code: 201, body: shown(deployments.at(-1)!) }
  }

  function listStatuses(id: number): Reply {
    const one = deployments.find(one => one.id === id)
    return one ? { code: 200, body: [...one.statuses].reverse() } : notFound
  }

  function setStatus(id: number, body: Json): Reply {
    const one = deployments.find(one => one.id === id)
    if (!one) return notFound
    if ([...body.description].length > 140) return invalid()
    if (body.state === 'success')
      for (const { id, environment, statuses } of deployments)
        if (id < one.id && environment === one.environment && statuses.at(-1)?.state === 'success')
          statuses.push({ id: ++number, state: 'inactive', description: '' })
    const { state, description, log_url } = body
    one.statuses.push({ id: ++number, state, description, ...(log_url ? { log_url } : {}) })
    return { code: 201, body: one.statuses.at(-1) }
  }

  /** Whether a request may be answered: with the token, or without any for what is public. */
  function mayAsk({ headers: { authorization }, method }: IncomingMessage): boolean {
    return authorization === `token ${token}` || (!authorization && method === 'GET')
  }

  const server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request) text += String(piece)
    const { pathname, searchParams } = new URL(request.url!, 'http://x')
    requests.push(`${request.method} ${pathname}`)
    const own = answers.shift()
    if (own && own !== pass) {
      own(response, request)
      return
    }
    const call: Call = {
      method: request.method!,
      url: request.url!,
      body: text ? JSON.parse(text) : undefined,
    }
    const parts = pathname.split('/').filter(Boolean)
    const of = parts[0] === 'repos' ? ['repos', ...parts.slice(1)] : parts
    let answer: Reply = { code: 401, body: { message: 'Bad credentials' } }
    try {
      checkRequest(call)
      if (mayAsk(request))
        answer = reply(call, of.map(decodeURIComponent), new URLSearchParams(searchParams))
      if (answer.code < 400) answer.body = completeAnswer(call, answer.code, answer.body)
      checkAnswer(call, answer.code, answer.body)
    } catch (error) {
      faults.push(String(error))
      answer = { code: 400, body: { message: String(error) } }
    }
    response
      .writeHead(answer.code, {
        'Content-Type': 'application/json; charset=utf-8',
        ...answer.headers,
      })
      .end(JSON.stringify(answer.body))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  server.unref()
  const api = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    deployments,
    pulls,
    repositories: known,
    requests,
    answers,
    faults,
    token,
    /** What a workflow's step would have in its environment. */
    env: { GITHUB_API_URL: api(), GITHUB_REPOSITORY: repository, GITHUB_TOKEN: token },
    states: (id = deployments.at(-1)?.id) =>
      deployments.find(one => one.id === id)?.statuses.map(({ state }) => state) ?? [],
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
