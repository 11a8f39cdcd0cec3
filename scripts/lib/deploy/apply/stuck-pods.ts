// StatefulSets whose broken pods stay when their version goes back.
import { listObjects, type Manifest } from '../../kubernetes/kubectl.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingKubectl, type LockLossCheck } from '../../kubernetes/kubectl-retry.ts'

/**
 * Pods of a StatefulSet's broken version, which stay when it goes back
 * (kubernetes/kubernetes#67250): they are deleted.
 */
export async function deleteStuckPods(
  place: Environment,
  sets: Manifest[],
  lost?: LockLossCheck,
): Promise<void> {
  const ask = createRetryingKubectl(lost)
  for (const { kind, metadata } of sets) {
    if (kind !== 'StatefulSet') continue
    const live = await waitForObservedGeneration(place, metadata.name, ask)
    if (!live) continue
    const stuck = (await listObjects(place, 'pods', [], ask)).filter(pod => {
      const owned = (pod.metadata as Record<string, any>).ownerReferences?.some(
        (owner: { kind: string; name: string }) =>
          owner.kind === 'StatefulSet' && owner.name === metadata.name,
      )
      const isReady = pod.status.conditions?.some(
        (one: { type: string; status: string }) => one.type === 'Ready' && one.status === 'True',
      )
      return (
        owned &&
        !isReady &&
        !pod.metadata.deletionTimestamp &&
        pod.metadata.labels?.['controller-revision-hash'] !== live.status.updateRevision
      )
    })
    if (stuck.length)
      await ask(
        place,
        [
          'delete',
          'pod',
          '--ignore-not-found',
          '--wait=false',
          ...stuck.map(pod => pod.metadata.name),
        ],
        {
          what: `Free the pods of ${metadata.name}`,
        },
      )
  }
}

/**
 * A StatefulSet, once its controller knows the last change: until then it counts the broken version
 * as the one to have.
 */
async function waitForObservedGeneration(
  place: Environment,
  name: string,
  ask: ReturnType<typeof createRetryingKubectl>,
): Promise<Manifest | undefined> {
  for (let i = 0; ; i++) {
    const [live] = await listObjects(
      place,
      'statefulsets',
      ['--field-selector', `metadata.name=${name}`],
      ask,
    )
    if (!live || i > 40 || live.status.observedGeneration >= live.metadata.generation!) return live
    await new Promise(done => setTimeout(done, 250))
  }
}
