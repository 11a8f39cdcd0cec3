// Tries again what may work later.
import { say } from '../../report.ts'
import { RegistryError } from './errors.ts'

/** Seconds between the attempts. */
const retryDelaysSeconds = [1, 2, 4, 8, 15, 30]
/** The same where nothing has begun, and a person rather hears soon. */
export const briefRetryDelaysSeconds = [1, 2]

/**
 * Does `work`, and when it fails by a RegistryError that may pass (no answer, 429, 5xx) again, six
 * times within a minute, or when the registry asks for it (Retry-After, of `longest` seconds at the
 * most). Throws the last error.
 */
export async function retryRegistry<T>(
  what: string,
  work: () => Promise<T>,
  left = retryDelaysSeconds,
  longest = 90,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const [next, ...later] = left
    if (
      !(error instanceof RegistryError) ||
      !error.passing ||
      next === undefined ||
      (error.retryAfterSeconds ?? 0) > longest
    )
      throw error
    const seconds = error.retryAfterSeconds ?? next
    say(`  ${what}: ${error.message}; again in ${seconds} s`)
    await new Promise(done => setTimeout(done, seconds * 1000))
    return retryRegistry(what, work, later, longest)
  }
}
