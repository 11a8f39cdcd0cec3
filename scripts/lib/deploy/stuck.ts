// StatefulSets whose broken pods stay when their version goes back.
import { list, type Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { retried, type Lost } from '../cluster/retried.ts'

/** Pods of a StatefulSet's broken version, which stay when it goes back (kubernetes/kubernetes#67250): they are deleted. */
export async function freeStuckPods(place: Place, sets: Manifest[], lost?: Lost): Promise<void> {
  const ask = retried(lost)
  for (const { kind, metadata } of sets) {
    if (kind !== 'StatefulSet') continue
    const live = await takenUp(place, metadata.name, ask)
    if (!live) continue
    const stuck = (await list(place, 'pods', [], ask)).filter(pod => {
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

/** A StatefulSet, once its controller knows the last change: until then it counts the broken version as the one to have. */
async function takenUp(
  place: Place,
  name: string,
  ask: ReturnType<typeof retried>,
): Promise<Manifest | undefined> {
  for (let i = 0; ; i++) {
    const [live] = await list(
      place,
      'statefulsets',
      ['--field-selector', `metadata.name=${name}`],
      ask,
    )
    if (!live || i > 40 || live.status.observedGeneration >= live.metadata.generation!) return live
    await new Promise(done => setTimeout(done, 250))
  }
}
