// Checks that a version works.
import type { Manifest } from '../../kubernetes/objects.ts'
import { countOutcomes, type CheckOutcome } from '../../smoke/outcome.ts'
import type { DeployTarget } from '../target.ts'
import { runApplicationChecks, clusterCheckName } from './application-checks.ts'
import { isWorkload, type RolloutOptions } from '../../rollout/wait.ts'
import type { Release } from '../../kubernetes/releases.ts'
import { say } from '../../report.ts'

/**
 * ms for which a check that fails is asked again; it is, too, while the workloads have not been
 * ready for long enough.
 */
export const smokeRetryWindowMs = { most: 15_000 }

/**
 * Asks the product while its workloads must stay ready: both take their time, and neither needs the
 * other's end. Returns what each check found; throws as `ready` does. For checks whose failure is
 * `excused` nobody waits.
 */
export async function verifyRelease(
  target: DeployTarget,
  wait: RolloutOptions,
  manifests: Manifest[],
  excused: (check: string) => boolean,
): Promise<CheckOutcome[]> {
  const end = Date.now() + smokeRetryWindowMs.most
  let state: 'open' | 'stable' | 'broken' = 'open'
  const answers = runApplicationChecks(
    target,
    manifests,
    excused,
    () => state === 'open' || (state === 'stable' && Date.now() < end),
  )
  // a workload that fails says more than the checks that fail with it
  answers.catch(() => {})
  try {
    await target.watch(wait, manifests.filter(isWorkload))
    state = 'stable'
  } finally {
    if (state === 'open') state = 'broken'
  }
  const all = await answers
  say(`  ${countOutcomes(all)}`)
  return all
}

/**
 * Whether a check's failure says nothing against a release: it failed when that served, was not
 * there yet, or was not asked. A silent cluster proves nothing.
 */
export const isKnownFailure = ({ checks, failing }: Release, check: string): boolean =>
  check !== clusterCheckName &&
  Boolean(failing?.includes(check) || (checks && !checks.includes(check)))

/**
 * Whether a check's failure is no news: nothing served before, or it failed when a release that
 * served (newest first) was last asked it.
 */
export function isPreexistingFailure(history: Release[], check: string): boolean {
  const served = history.filter(({ ending }) => ending === 'succeeded')
  const last = served.find(({ checks }) => !checks || checks.includes(check))
  return check !== clusterCheckName && (!served.length || Boolean(last?.failing?.includes(check)))
}

/**
 * What of a release's failing checks is still known to fail: of those that were not `asked` nothing
 * new is known.
 */
export const remainingFailures = (
  { failing = [] }: Release,
  asked: string[],
  now: string[],
): string[] => failing.filter(name => now.includes(name) || !asked.includes(name))
