// What monitoring owes to a stack, asked when the stack has it.
import { randomBytes } from 'node:crypto'
import { readComposeConfig, type Stack } from '../compose/stack.ts'
import { openMonitoring, type Monitoring } from '../monitoring/ask.ts'
import { countProbes, judgeTargets, readTargets } from '../monitoring/targets.ts'
import { constantDelays, pollUntil } from '../retry.ts'
import type { RunnableCheck, SmokeContext } from './checks.ts'
import { runCheck } from './outcome.ts'

/** ms within which what was just started must be measured, and a line must be found again. */
const patienceMs = 50_000

/** Their names. */
export const monitoringChecks = {
  targets: 'monitoring: every expected target is up',
  line: 'monitoring: a line written now is found again',
}

/** The checks of a stack's monitoring; `edge` and `address` as the applications' checks have them. */
export function checkMonitoring(
  stack: Stack,
  { edge, address }: Pick<SmokeContext, 'edge' | 'address'>,
): RunnableCheck[] {
  const check = (name: string, run: () => Promise<string>): RunnableCheck => ({
    name,
    ask: timeout => runCheck(name, run, timeout),
  })
  return [
    check(monitoringChecks.targets, () => requireTargets(stack)),
    check(monitoringChecks.line, async () => {
      const word = `smoke-${randomBytes(8).toString('hex')}`
      // Traefik logs every request with its path
      await edge.get(`${address('app')}/?${word}`)
      return requireLine(await openMonitoring(stack), word, patienceMs)
    }),
  ]
}

async function requireTargets(stack: Stack): Promise<string> {
  const [all, monitoring] = await Promise.all([readComposeConfig(stack), openMonitoring(stack)])
  const targets = await pollUntil(
    async () => judgeTargets(all, countProbes(), await readTargets(monitoring)),
    found => found.every(({ up }) => up),
    constantDelays(1_000, patienceMs),
  )
  const down = targets.filter(({ up }) => !up)
  if (down.length) throw new Error(down.map(({ name, why }) => `${name}: ${why}`).join('; '))
  return `${targets.length} targets`
}

/** Waits so many ms for a line of Traefik's with this word. Throws Error when there is none. */
export async function requireLine(
  monitoring: Pick<Monitoring, 'askJson'>,
  word: string,
  patience: number,
): Promise<string> {
  const start = Date.now()
  const query = encodeURIComponent(`{service="traefik"} |= "${word}"`)
  const { data } = await pollUntil(
    () =>
      monitoring.askJson<{ data: { result: unknown[] } }>(
        'loki',
        `/loki/api/v1/query_range?limit=1&query=${query}`,
      ),
    answer => answer.data.result.length > 0,
    constantDelays(500, patience),
  )
  if (!data.result.length) throw new Error(`Loki has no line of Traefik with ${word}`)
  return `after ${Math.round((Date.now() - start) / 100) / 10} s`
}
