// Tries again what may work later.
import { say } from '../report.ts'
import { RegistryError } from './registry-answer.ts'

/** Seconds between the attempts. */
const waits = [1, 2, 4, 8, 15, 30]
/** The same where nothing has begun, and a person rather hears soon. */
export const brief = [1, 2]

/**
 * Does `work`, and when it fails by a RegistryError that may pass (no answer, 429, 5xx) again, six times within a minute, or when the
 * registry asks for it (Retry-After, of `longest` seconds at the most). Throws the last error.
 */
export async function patiently<T>(
  what: string,
  work: () => Promise<T>,
  left = waits,
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
      (error.wait ?? 0) > longest
    )
      throw error
    const seconds = error.wait ?? next
    say(`  ${what}: ${error.message}; again in ${seconds} s`)
    await new Promise(done => setTimeout(done, seconds * 1000))
    return patiently(what, work, later, longest)
  }
}
