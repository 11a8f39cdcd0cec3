// kubectl that outlives an API server which is away for a moment.
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
  (lossFailure?: LockLossCheck, { most, pause } = apiRetryMs): typeof kubectl =>
  async (environment, argv, options = {}) => {
    const check = () => {
      const failure = lossFailure?.()
      if (failure) throw failure
    }
    const attempt = async (): Promise<Attempt<RunOutput, RunOutput>> => {
      check()
      const stop = new AbortController()
      const look = setInterval(() => lossFailure?.() && stop.abort(), 500)
      const output = await kubectl(environment, argv, {
        ...options,
        nothrow: true,
        signal: stop.signal,
      }).finally(() => clearInterval(look))
      if (output.code === 0) return { done: output }
      check()
      return { why: output, wait: isApiAway(output.stderr) ? 0 : undefined }
    }
    const outcome = await retryAttempts(attempt, constantDelays(pause, most), {
      onRetry: () => say('  the API server does not answer; tried again'),
    })
    if ('done' in outcome) return outcome.done
    const { why } = outcome
    return options.nothrow ? why : requireKubectlSuccess(environment, argv, options, why)
  }
