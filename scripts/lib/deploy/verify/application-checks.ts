// What the applications themselves say: whether they work.
import type { Manifest } from '../../kubernetes/objects.ts'
import type { DeployTarget } from '../target.ts'
import { warn } from '../../report.ts'
import { constantDelays, pollUntil } from '../../retry.ts'
import { productChecks } from '../../smoke/checks.ts'
import { failedChecks, skippedChecks, type CheckOutcome } from '../../smoke/outcome.ts'

/** ms between two rounds of the checks. */
const checkPauseMs = 1_000

const reportedChecks = new Set<string>()

/**
 * What the checks of these manifests say; those that cannot be asked here are not among them, and
 * named once. As long as one fails that is not `excused`, all are asked again, unless `again` says
 * no.
 */
export async function runApplicationChecks(
  { smokeTarget }: Pick<DeployTarget, 'smokeTarget'>,
  manifests: Manifest[],
  excused: (check: string) => boolean,
  again: () => boolean,
): Promise<CheckOutcome[]> {
  const target = await smokeTarget(manifests.filter(({ kind }) => kind !== 'Job'))
  const checks = await productChecks(target)
  const askAll = async (): Promise<CheckOutcome[]> => {
    const [health, product] = await Promise.all([
      target.health().catch(unreachableClusterOutcome),
      Promise.all(checks.map(({ ask }) => ask(30_000))),
    ])
    for (const { name, detail } of skippedChecks(product)) {
      if (!reportedChecks.has(name)) warn(`${name}: ${detail}`)
      reportedChecks.add(name)
    }
    return [...health, ...product].filter(({ ok }) => ok !== null)
  }
  const isSettled = (outcomes: CheckOutcome[]) =>
    failedChecks(outcomes).every(({ name }) => excused(name)) || !again()
  return pollUntil(askAll, isSettled, constantDelays(checkPauseMs))
}

/** What a cluster that does not answer is called among the checks. */
export const clusterCheckName = 'the cluster'
/** A cluster that does not answer for a moment says nothing about what runs in it. */
const unreachableClusterOutcome = (error: Error): CheckOutcome[] => [
  { name: clusterCheckName, ok: false, detail: error.message, ms: 0 },
]
