/**
 * Waits until `check` returns something true, and returns it; an error in it counts as not yet.
 * Asks every `pause` ms, as most that is asked is a process, throws after `seconds`.
 */
export async function waitUntil<T>(
  what: string,
  seconds: number,
  check: () => T | Promise<T>,
  pause = 500,
): Promise<NonNullable<T>> {
  let last: unknown
  for (
    const end = Date.now() + seconds * 1000;
    Date.now() < end;
    await new Promise(done => setTimeout(done, pause))
  ) {
    try {
      const found = await check()
      if (found) return found
    } catch (error) {
      last = error
    }
  }
  throw new Error(
    `${what}: not after ${seconds} s${last instanceof Error ? `; ${last.message}` : ''}`,
  )
}
