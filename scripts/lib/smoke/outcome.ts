// What checks found: each is run with its time, none hides another, and one that could not be asked is no failure.

export interface Outcome {
  name: string
  /** null: it was not asked, for want of a login, and has neither passed nor failed. */
  ok: boolean | null
  detail: string
  ms: number
}

/** Runs a check within `timeout` ms; never throws. */
export async function outcome(
  name: string,
  work: () => Promise<string | void>,
  timeout: number,
): Promise<Outcome> {
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

export const passed = (all: Outcome[]): Outcome[] => all.filter(({ ok }) => ok)
export const failed = (all: Outcome[]): Outcome[] => all.filter(({ ok }) => ok === false)
export const unasked = (all: Outcome[]): Outcome[] => all.filter(({ ok }) => ok === null)

/** How many passed of those that were asked, and how many were not. */
export function counted(all: Outcome[]): string {
  const left = unasked(all).length
  return `${passed(all).length} of ${all.length - left} checks passed${left ? `, ${left} not asked` : ''}`
}
