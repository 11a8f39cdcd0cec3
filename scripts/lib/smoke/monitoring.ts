// What monitoring owes to a stack, asked when the stack has it.
import { randomBytes } from 'node:crypto'
import { readComposeConfig, type Stack } from '../compose/stack.ts'
import { openMonitoring } from '../monitoring/ask.ts'
import { countProbes, judgeTargets, readTargets } from '../monitoring/targets.ts'
import { constantDelays, pollUntil } from '../retry.ts'
import type { RunnableCheck, SmokeContext } from './checks.ts'
import { runCheck } from './outcome.ts'

/** ms within which what was just started must be measured, and a line must be found again. */
const patienceMs = 50_000

/** The checks of a stack's monitoring; `edge` and `address` as the applications' checks have them. */
export function monitoringChecks(
  stack: Stack,
  { edge, address }: Pick<SmokeContext, 'edge' | 'address'>,
): RunnableCheck[] {
  const check = (name: string, run: () => Promise<string>): RunnableCheck => ({
    name: `monitoring: ${name}`,
    ask: timeout => runCheck(`monitoring: ${name}`, run, timeout),
  })
  return [
    check('every expected target is up', () => requireTargets(stack)),
    check('a line written now is found again', async () => {
      const word = `smoke-${randomBytes(8).toString('hex')}`
      // Traefik logs every request with its path
      await edge.get(`${address('app')}/?${word}`)
      return requireLine(stack, word)
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

async function requireLine(stack: Stack, word: string): Promise<string> {
  const monitoring = await openMonitoring(stack)
  const start = Date.now()
  const query = encodeURIComponent(`{service="traefik"} |= "${word}"`)
  const { data } = await pollUntil(
    () =>
      monitoring.askJson<{ data: { result: unknown[] } }>(
        'loki',
        `/loki/api/v1/query_range?limit=1&query=${query}`,
      ),
    answer => answer.data.result.length > 0,
    constantDelays(500, patienceMs),
  )
  if (!data.result.length) throw new Error(`Loki has no line of Traefik with ${word}`)
  return `after ${Math.round((Date.now() - start) / 100) / 10} s`
}
