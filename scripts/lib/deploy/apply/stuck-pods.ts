// StatefulSets whose broken pods stay when their old version is restored.
import { deleteObject, findObject, listObjects } from '../../kubernetes/resources.ts'
import {
  isChangeObserved,
  isOwnerOf,
  isPodReady,
  selectKinds,
  type Manifest,
  type StatefulSet,
} from '../../kubernetes/objects.ts'
import { isCurrentPod } from '../../rollout/owners.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingApi, type LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import { constantDelays, pollUntil } from '../../retry.ts'

/** ms in which the controller must have seen a change. */
const controllerTimeoutMs = 15_000

/**
 * Pods of a StatefulSet's broken version, which stay when it goes back
 * (kubernetes/kubernetes#67250): they are deleted.
 */
export async function deleteStuckPods(
  environment: Environment,
  sets: Manifest[],
  lossFailure?: LockLossCheck,
): Promise<void> {
  const ask = createRetryingApi(lossFailure)
  for (const { kind, metadata } of sets) {
    if (kind !== 'StatefulSet') continue
    const live = await waitForObservedGeneration(environment, metadata.name, ask)
    if (!live) continue
    const pods = selectKinds(await listObjects(environment, ['v1/pods'], { ask }), 'Pod')
    const stuck = pods.filter(
      pod =>
        isOwnerOf(live, pod) &&
        !pod.metadata.deletionTimestamp &&
        !isPodReady(pod) &&
        !isCurrentPod(pod, live, live),
    )
    const what = `Delete the stuck pods of ${metadata.name}`
    for (const pod of stuck)
      await deleteObject(environment, 'v1/pods', pod.metadata.name, { what, ask })
  }
}

/**
 * A StatefulSet, once its controller knows the last change: until then it counts the broken version
 * as the one to have.
 */
async function waitForObservedGeneration(
  environment: Environment,
  name: string,
  ask: ReturnType<typeof createRetryingApi>,
): Promise<StatefulSet | undefined> {
  const fetchSet = async () => {
    const found = await findObject(environment, 'apps/v1/statefulsets', name, { ask })
    return selectKinds(found ? [found] : [], 'StatefulSet')[0]
  }
  return pollUntil(
    fetchSet,
    live => !live || isChangeObserved(live),
    constantDelays(250, controllerTimeoutMs),
  )
}
