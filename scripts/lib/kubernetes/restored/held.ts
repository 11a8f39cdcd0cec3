// What a restore that is held back leaves at an environment's policies, for all that must know of it. Pure.
import type { Environment } from '../environment.ts'
import type { Manifest } from '../objects.ts'

/** What a NetworkPolicy let out before a restore took that away, as JSON (scripts/lib/backup/kubernetes/held.ts). */
export const egressAnnotation = 'kgc.hu/egress-before-restore'

/** What a policy let out before it was held back; undefined where it is not. */
export const heldEgressOf = ({ metadata }: Manifest): string | undefined =>
  metadata.annotations?.[egressAnnotation]

/** Whether a restore has taken a way out from any of an environment's objects. */
export const isWayOutHeld = (all: Manifest[]): boolean => all.some(heldEgressOf)

/** The command that lets an environment out. */
export const environmentGoLiveCommand = (name: string): string =>
  `npx zx scripts/restore.ts --go-live ${name} --target kubernetes`

/** The same where a restore holds it back, by its objects; else undefined. */
export const findEnvironmentGoLive = (
  { name }: Pick<Environment, 'name'>,
  all: Manifest[],
): string | undefined => (isWayOutHeld(all) ? environmentGoLiveCommand(name) : undefined)
