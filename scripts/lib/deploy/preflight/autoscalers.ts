// Workloads whose number of pods an autoscaler sets. Pure.
import { resourceId, type Manifest } from '../../kubernetes/objects.ts'
import { selectWorkloads } from '../../kubernetes/objects.ts'

/** The workloads of `all` with their autoscaler. */
const listScaled = (all: Manifest[]): { workload: Manifest; autoscaler: Manifest }[] =>
  all
    .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
    .flatMap(autoscaler => {
      const { kind, name } = autoscaler.spec.scaleTargetRef
      const workload = selectWorkloads(all).find(
        one => one.kind === kind && one.metadata.name === name,
      )
      return workload ? [{ workload, autoscaler }] : []
    })

/** Manifests that set the number beside an autoscaler: each deploy would take back what it has done. */
export const findFixedReplicas = (all: Manifest[]): string[] =>
  listScaled(all)
    .filter(({ workload }) => workload.spec.replicas !== undefined)
    .map(
      ({ workload, autoscaler }) =>
        `${resourceId(workload)} sets replicas: ${workload.spec.replicas}, and ${resourceId(autoscaler)} sets the number, too: every deploy takes it back. Remove spec.replicas`,
    )

/** Workloads that somebody has scaled to 0: their autoscaler starts none, and the change waits for pods. */
export const findStoppedTargets = (all: Manifest[], live: Manifest[]): string[] =>
  listScaled(all).flatMap(({ workload, autoscaler }) => {
    const here = live.find(one => resourceId(one) === resourceId(workload))
    const least = autoscaler.spec.minReplicas ?? 1
    if (here?.spec.replicas !== 0 || workload.spec.replicas !== undefined || least === 0) return []
    const { kind, metadata } = workload
    return [
      `${resourceId(workload)} is scaled to 0, from where its autoscaler starts no pod: kubectl scale ${kind.toLowerCase()}/${metadata.name} --replicas ${least}`,
    ]
  })
