// The results of checks: each has its time, none hides another, and one that could not run is not a
// failure.

export interface CheckOutcome {
  name: string
  /** null: it was not asked, because there is no login, and has neither passed nor failed. */
  ok: boolean | null
  detail: string
  ms: number
}

/** Runs a check within `timeout` ms; never throws. */
export async function runCheck(
  name: string,
  work: () => Promise<string | void>,
  timeout: number,
): Promise<CheckOutcome> {
  const start = Date.now()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>(
    (_, reject) =>
      (timer = setTimeout(() => reject(new Error(`no result in ${timeout / 1000} s`)), timeout)),
  )
  try {
    return {
      name,
      ok: true,
      detail: (await Promise.race([work(), late])) ?? '',
      ms: Date.now() - start,
    }
  } catch (error) {
    return { name, ok: false, detail: (error as Error).message.trim(), ms: Date.now() - start }
  } finally {
    clearTimeout(timer)
  }
}

export const passedChecks = (all: CheckOutcome[]): CheckOutcome[] => all.filter(({ ok }) => ok)
export const failedChecks = (all: CheckOutcome[]): CheckOutcome[] =>
  all.filter(({ ok }) => ok === false)
export const skippedChecks = (all: CheckOutcome[]): CheckOutcome[] =>
  all.filter(({ ok }) => ok === null)

/** How many passed of those that were asked, and how many were not. */
export function countOutcomes(all: CheckOutcome[]): string {
  const left = skippedChecks(all).length
  return `${passedChecks(all).length} of ${all.length - left} checks passed${left ? `, ${left} not asked` : ''}`
}
