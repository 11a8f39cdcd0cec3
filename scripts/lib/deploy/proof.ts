// The proof that a version works.
import type { Manifest } from '../cluster/cluster.ts'
import { counted, type Outcome } from '../smoke/outcome.ts'
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
export async function prove(
  wait: Wait,
  manifests: Manifest[],
  excused: (check: string) => boolean,
): Promise<Outcome[]> {
  const end = Date.now() + patience.most
  let state: 'open' | 'stable' | 'broken' = 'open'
  const answers = asked(
    wait.place,
    manifests,
    excused,
    () => state === 'open' || (state === 'stable' && Date.now() < end),
  )
  // a workload that fails says more than the checks that fail with it
  answers.catch(() => {})
  try {
    await ready(wait, manifests.filter(isWorkload))
    state = 'stable'
  } finally {
    if (state === 'open') state = 'broken'
  }
  const all = await answers
  say(`  ${counted(all)}`)
  return all
}

/** Whether a check's failure says nothing against a release: it failed when that served, was not there yet, or was not asked. A silent cluster proves nothing. */
export const isExcused = ({ checks, failing }: Release, check: string): boolean =>
  check !== theCluster && Boolean(failing?.includes(check) || (checks && !checks.includes(check)))

/** Whether a check's failure is no news: nothing served before, or it failed when a release that served (newest first) was last asked it. */
export function isOld(history: Release[], check: string): boolean {
  const served = history.filter(({ ending }) => ending === 'succeeded')
  const last = served.find(({ checks }) => !checks || checks.includes(check))
  return check !== theCluster && (!served.length || Boolean(last?.failing?.includes(check)))
}

/** What of a release's failing checks is still known to fail: of those that were not `asked` nothing new is known. */
export const stillFailing = ({ failing = [] }: Release, asked: string[], now: string[]): string[] =>
  failing.filter(name => now.includes(name) || !asked.includes(name))
