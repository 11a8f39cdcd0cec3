// Restores the objects of a release that a change has replaced.
import { applyManifests, deleteObjects, type ApplyListener } from './apply.ts'
import { deleteStuckPods } from './stuck-pods.ts'
import { waitUntilUnsealed } from './unseal.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import { resourceId, type Manifest } from '../../kubernetes/objects.ts'

export interface RestorePlan {
  /** What is restored, in the order in which it is applied. */
  objects: Manifest[]
  /** What of the change has been applied. */
  applied: Manifest[]
  /** What the release does not have. */
  orphans: Manifest[]
  /** What is done when its settings are back, before what reads them is. */
  onSecrets?: () => Promise<void>
}

const isSetting = ({ kind }: Manifest): boolean => /^(ConfigMap|Secret|SealedSecret)$/.test(kind)

/**
 * Settings first: what restarts must not read the new ones; then the applications, the last one
 * first. Throws Failure when a setting cannot be unsealed, or `onSecrets` fails, after all else has gone back.
 */
export async function restoreObjects(
  environment: Environment,
  { objects, applied, orphans, onSecrets }: RestorePlan,
  lossFailure: LockLossCheck,
  onApplied: ApplyListener,
): Promise<void> {
  const settings = objects.filter(isSetting)
  const others = objects.filter(one => !isSetting(one)).reverse()
  await applyManifests(environment, settings, lossFailure, onApplied)
  const sealed = await waitUntilUnsealed(
    environment,
    settings.filter(one => applied.some(other => resourceId(other) === resourceId(one))),
    lossFailure,
  )
    .then(onSecrets)
    .then(
      () => undefined,
      (error: Error) => error,
    )
  await applyManifests(environment, others, lossFailure, onApplied)
  await deleteObjects(environment, orphans, lossFailure, onApplied)
  await deleteStuckPods(environment, objects, lossFailure)
  if (sealed) throw sealed
}
