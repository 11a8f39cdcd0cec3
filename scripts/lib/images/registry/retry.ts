// Retries requests that a registry may answer later.
import { say } from '../../report.ts'
import { retryAttempts, type Attempt } from '../../retry.ts'
import { RegistryError } from './errors.ts'

/** Seconds between the attempts. */
const retryDelaysSeconds = [1, 2, 4, 8, 15, 30]
/** The same where nothing has begun, and a person rather hears soon. */
export const briefRetryDelaysSeconds = [1, 2]

/**
 * Does `work`, and when it fails by a RegistryError that may pass (no answer, 429, 5xx) again after
 * these delays, or as late as the registry asks for (Retry-After, of `longest` seconds at the
 * most). Throws the last error.
 */
export async function retryRegistry<T>(
  what: string,
  work: () => Promise<T>,
  delaysSeconds = retryDelaysSeconds,
  longest = 90,
): Promise<T> {
  const attempt = (): Promise<Attempt<T, Error>> => work().then(done => ({ done }), classifyError)
  const delays = delaysSeconds.map(seconds => seconds * 1000)
  const outcome = await retryAttempts(attempt, delays, {
    longest: longest * 1000,
    onRetry: ({ message }, ms) => say(`  ${what}: ${message}; again in ${ms / 1000} s`),
  })
  if ('done' in outcome) return outcome.done
  throw outcome.why
}

const classifyError = (why: Error): { why: Error; wait?: number } =>
  why instanceof RegistryError && why.passing
    ? { why, wait: (why.retryAfterSeconds ?? 0) * 1000 }
    : { why }
