// Calls GitHub's API for the repository that a workflow runs in: within a time limit, and again
// where a retry may help.
import { describeNetworkCode, fetchWeb } from '../http.ts'
import {
  doublingDelays,
  parseRetryAfter,
  retryAttempts,
  describeRefusal,
  type Attempt,
} from '../retry.ts'
import { keepSecret, redact } from '../redact.ts'

/** ms before the second request. */
const firstPauseMs = 250

type Octokit = import('@octokit/rest').Octokit

/** A repository, and the token that may ask for it. */
export interface GitHubRepository {
  owner: string
  repo: string
  token: string
  /** Where the API is, if not at GitHub's own address. */
  api: string | undefined
}

/**
 * What a workflow's environment says; undefined without a token or a repository. The token is a
 * secret from now on.
 */
export function readGitHubRepository(
  env: NodeJS.ProcessEnv = process.env,
): GitHubRepository | undefined {
  const token = env.GITHUB_TOKEN || env.GH_TOKEN
  keepSecret(token)
  const [, owner, repo] = /^([\w.-]+)\/([\w.-]+)$/.exec(env.GITHUB_REPOSITORY ?? '') ?? []
  return token && owner && repo
    ? { owner, repo, token, api: env.GITHUB_API_URL || undefined }
    : undefined
}

const silentLog = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * GitHub's client for a token; loaded on use, as only who has a token pays for it. `request` are
 * octokit's options of each request.
 */
export async function createOctokit(
  { token: auth, api }: Pick<GitHubRepository, 'token' | 'api'>,
  request: object = {},
): Promise<Octokit> {
  const { Octokit } = await import('@octokit/rest')
  return new Octokit({
    auth,
    ...(api ? { baseUrl: api } : {}),
    userAgent: 'kgc-stack',
    log: silentLog,
    request: { fetch: fetchWeb, ...request },
  })
}

/**
 * One request, tried again while GitHub is busy, `until` (ms of the clock). Throws Error that says
 * in words what GitHub did; `right`: what it takes.
 */
export async function requestGitHub<T extends object>(
  github: GitHubRepository,
  until: number,
  request: (octokit: Octokit) => Promise<{ data: T }>,
  right?: string,
): Promise<T> {
  const attempt = async (): Promise<Attempt<T>> => {
    const signal = AbortSignal.timeout(Math.max(1, until - Date.now()))
    try {
      const { data } = await request(await createOctokit(github, { signal }))
      // an answer that breaks off comes as text
      return typeof data === 'object'
        ? { done: data }
        : { why: signal.aborted ? 'did not answer in time' : 'did not answer with JSON' }
    } catch (error) {
      return signal.aborted
        ? { why: 'did not answer in time' }
        : describeGitHubError(error as Partial<OctokitError>, right)
    }
  }
  const outcome = await retryAttempts(attempt, doublingDelays(firstPauseMs), { until })
  if ('done' in outcome) return outcome.done
  throw new Error(`GitHub ${redact(describeRefusal(outcome))}`)
}

/** What octokit throws. */
interface OctokitError extends Error {
  status: number
  response: { headers: Record<string, string | undefined>; data: unknown }
}

/** What happened, and with `wait` (ms) that it may be tried again. Pure. */
export function describeGitHubError(
  { status, response, cause, message }: Partial<OctokitError>,
  right = 'the right `deployments`',
): { why: string; wait?: number } {
  if (!status) return { why: message ?? 'could not be asked' }
  if (!response) {
    const { code, name } = (cause ?? {}) as { code?: string; name?: string }
    return {
      why: `cannot be reached (${code ? describeNetworkCode(code) : (name ?? 'no reason given')})`,
      wait: 0,
    }
  }
  const { headers, data } = response
  const words = String(Object(data).message ?? '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 120)
  const why = `answered ${status}${words ? ` (${words})` : ''}`
  if (headers['retry-after'] && (status === 429 || status === 403 || status >= 500))
    return { why, wait: parseRetryAfter(headers['retry-after']) }
  const reset = findLimitReset(headers, words)
  if (reset)
    return { why: `${why}, until ${formatTime(reset)}`, wait: Math.max(0, reset - Date.now()) }
  const busy = status === 429 || status >= 500
  return busy ? { why, wait: 0 } : { why: why + permissionHint(status, right) }
}

/**
 * When (ms of the clock) GitHub answers again: a limit that is used up says so, the one against abuse
 * may not, and then a minute is the least
 * (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
 */
function findLimitReset(
  headers: OctokitError['response']['headers'],
  words: string,
): number | undefined {
  const isUsedUp = headers['x-ratelimit-remaining'] === '0'
  if (isUsedUp) return Number(headers['x-ratelimit-reset']) * 1000 || Date.now() + 60_000
  return /secondary rate limit|abuse detection/i.test(words) ? Date.now() + 60_000 : undefined
}

const formatTime = (time: number): string => `${new Date(time).toISOString().slice(11, 16)} UTC`

function permissionHint(status: number, right: string): string {
  if (status === 401) return ': the token is not valid'
  return status === 403 || status === 404 ? `: the token may need ${right}` : ''
}
