// StatefulSets whose broken pods stay when their version goes back.
import { listObjects, type Manifest } from '../../kubernetes/kubectl.ts'
import {
  isChangeObserved,
  isOwnerOf,
  isPodReady,
  selectKinds,
  type StatefulSet,
} from '../../kubernetes/objects.ts'
import { isCurrentPod } from '../../rollout/owners.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingKubectl, type LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
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
  const ask = createRetryingKubectl(lossFailure)
  for (const { kind, metadata } of sets) {
    if (kind !== 'StatefulSet') continue
    const live = await waitForObservedGeneration(environment, metadata.name, ask)
    if (!live) continue
    const pods = selectKinds(await listObjects(environment, 'pods', [], ask), 'Pod')
    const stuck = pods.filter(
      pod =>
        isOwnerOf(live, pod) &&
        !pod.metadata.deletionTimestamp &&
        !isPodReady(pod) &&
        !isCurrentPod(pod, live, live),
    )
    if (stuck.length)
      await ask(
        environment,
        [
          'delete',
          'pod',
          '--ignore-not-found',
          '--wait=false',
          ...stuck.map(pod => pod.metadata.name),
        ],
        {
          what: `Delete the stuck pods of ${metadata.name}`,
        },
      )
  }
}

/**
 * A StatefulSet, once its controller knows the last change: until then it counts the broken version
 * as the one to have.
 */
async function waitForObservedGeneration(
  environment: Environment,
  name: string,
  ask: ReturnType<typeof createRetryingKubectl>,
): Promise<StatefulSet | undefined> {
  const argv = ['--field-selector', `metadata.name=${name}`]
  const fetchSet = async () =>
    selectKinds(await listObjects(environment, 'statefulsets', argv, ask), 'StatefulSet')[0]
  return pollUntil(
    fetchSet,
    live => !live || isChangeObserved(live),
    constantDelays(250, controllerTimeoutMs),
  )
}
