// An environment whose restore is held back, or has stopped halfway: a change would let its mail and
// webhooks out, or start applications on data of two times. Pure.
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { findEnvironmentGoLive } from '../../kubernetes/restored/held.ts'

/** The refusal of a change to an environment of which something is held back. */
export function findHeldBack(environment: Pick<Environment, 'name'>, live: Manifest[]): string[] {
  const goLive = findEnvironmentGoLive(environment, live)
  return goLive
    ? [
        `a restored copy is held back, and this would let its mail and webhooks out: ${goLive}, when nothing else serves these people`,
      ]
    : []
}

/** The ConfigMap that is there from the swap of a restore to its end; it names the backup. */
export const underwayName = 'kgc-restore-underway'

/** The backup whose restore has begun to swap and has not come to its end, if there is one. */
export const findUnderway = (live: Manifest[]): string | undefined =>
  live.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === underwayName)?.data
    ?.backup as string | undefined

/** Why nothing may start on what a restore has left halfway. */
export const describeUnderway = (backup: string): string =>
  `the restore of ${backup} has not come to its end: the environment has some of its data, and some from before`

/** The refusal of a change to an environment whose restore has stopped halfway. */
export function findHalfRestored(live: Manifest[]): string[] {
  const backup = findUnderway(live)
  return backup === undefined
    ? []
    : [`${describeUnderway(backup)}; that restore again goes on where it stood`]
}
