// The proof that a version works.
import type { Outcome } from '../smoke/checks.ts'
import type { Manifest } from '../cluster/cluster.ts'
import { asked, theCluster } from './product.ts'
import { isWorkload, ready, type Wait } from './readiness.ts'
import type { Release } from './release.ts'
import { say } from '../report.ts'

/** ms for which a check that fails is asked again; it is, too, while the workloads have not been ready for long enough. */
export const patience = { most: 15_000 }

/**
 * Asks the product while its workloads must stay ready: both take their time, and neither needs the other's end. Returns what each check
 * found; throws as `ready` does. For checks whose failure is `excused` nobody waits.
 */
export async function prove(wait: Wait, manifests: Manifest[], excused: (check: string) => boolean): Promise<Outcome[]> {
  const end = Date.now() + patience.most
  let state: 'open' | 'stable' | 'broken' = 'open'
  const answers = asked(wait.place, manifests, excused, () => state === 'open' || (state === 'stable' && Date.now() < end))
  // a workload that fails says more than the checks that fail with it
  answers.catch(() => {})
  try {
    await ready(wait, manifests.filter(isWorkload))
    state = 'stable'
  } finally {
    if (state === 'open') state = 'broken'
  }
  const all = await answers
  say(`  ${all.filter(({ ok }) => ok).length} of ${all.length} checks passed`)
  return all
}

/** Whether a check's failure says nothing against a release: it failed when the release served, or was not there yet. A silent cluster proves nothing. */
export const isExcused = ({ checks, failing }: Release, check: string): boolean =>
  check !== theCluster && Boolean(failing?.includes(check) || (checks && !checks.includes(check)))
