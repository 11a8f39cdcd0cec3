// Retries kubectl and API requests while the API server is away for a moment.
import { describeApiError, isApiSuccess, requestApi, type ApiAnswer } from './api.ts'
import { requireKubectlSuccess, kubectl } from './kubectl.ts'
import type { Failure } from '../errors.ts'
import { say } from '../report.ts'
import { constantDelays, retryAttempts, type Attempt } from '../retry.ts'
import type { RunOutput } from '../run.ts'

/** What kubectl says when the API server is away for a moment. */
const apiAwayPattern = new RegExp(
  [
    'connection refused|was refused|connection reset|connection lost|no route to host|i/o timeout|TLS handshake timeout|Client\\.Timeout|EOF$',
    'Unable to connect|ServiceUnavailable|ServerTimeout|\\(Timeout\\)|TooManyRequests|apiserver not ready|etcdserver',
  ].join('|'),
  'im',
)

/** Whether the API server was away, so that what it has done is not known. */
export const isApiAway = (text: string): boolean => apiAwayPattern.test(text)

/** Why nothing may be touched any more, if so. */
export type LockLossCheck = () => Failure | undefined

/** ms: how long it is tried again once it has failed, and the time between. */
export const apiRetryMs = { most: 45_000, pause: 2_000 }

/**
 * kubectl for what may be done twice: while the API server is away it is tried again, for 45 s.
 * Once the lock is lost it throws `lossFailure`, and what is under way ends at once: the new holder of the lock
 * now is at work.
 */
export const createRetryingKubectl =
  (lossFailure?: LockLossCheck, times = apiRetryMs): typeof kubectl =>
  async (environment, argv, options = {}) => {
    const problem = ({ code, stderr }: RunOutput) => (code === 0 ? undefined : stderr)
    const output = await retryWhileAway(lossFailure, times, problem, signal =>
      kubectl(environment, argv, { ...options, nothrow: true, signal }),
    )
    return options.nothrow ? output : requireKubectlSuccess(environment, argv, options, output)
  }

/** The same of what is asked without kubectl. */
export const createRetryingApi =
  (lossFailure?: LockLossCheck, times = apiRetryMs): typeof requestApi =>
  async (environment, path, options = {}) => {
    const problem = (answer: ApiAnswer) =>
      isApiSuccess(answer) ? undefined : describeApiError(answer)
    return retryWhileAway(lossFailure, times, problem, signal =>
      requestApi(environment, path, { ...options, signal }),
    )
  }

/** The answer, in the end; `problemOf` says what is wrong with one. */
async function retryWhileAway<T>(
  lossFailure: LockLossCheck | undefined,
  { most, pause }: typeof apiRetryMs,
  problemOf: (answer: T) => string | undefined,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const check = () => {
    const failure = lossFailure?.()
    if (failure) throw failure
  }
  const attempt = async (): Promise<Attempt<T, T>> => {
    check()
    const stop = new AbortController()
    const look = setInterval(() => lossFailure?.() && stop.abort(), 500)
    const answer = await ask(stop.signal).finally(() => clearInterval(look))
    const problem = problemOf(answer)
    if (problem === undefined) return { done: answer }
    check()
    return { why: answer, wait: isApiAway(problem) ? 0 : undefined }
  }
  const outcome = await retryAttempts(attempt, constantDelays(pause, most), {
    onRetry: () => say('  the API server does not answer; tried again'),
  })
  return 'done' in outcome ? outcome.done : outcome.why
}
