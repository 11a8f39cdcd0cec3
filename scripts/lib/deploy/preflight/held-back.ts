// An environment whose restore is held back: a change would let its mail and webhooks out. Pure.
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'

/** What a NetworkPolicy let out before a restore took that away, as JSON (scripts/lib/backup/kubernetes/held.ts). */
export const egressAnnotation = 'kgc.hu/egress-before-restore'

/** What a policy let out before it was held back; undefined where it is not. */
export const heldEgressOf = ({ metadata }: Manifest): string | undefined =>
  metadata.annotations?.[egressAnnotation]

/** The refusal of a change to an environment of which something is held back. */
export const findHeldBack = ({ name }: Pick<Environment, 'name'>, live: Manifest[]): string[] =>
  live.some(heldEgressOf)
    ? [
        `a restored copy is held back, and this would let its mail and webhooks out: npx zx scripts/restore.ts --go-live ${name} --target kubernetes, when nothing else serves these people`,
      ]
    : []
