// Reads what a cluster shows of an environment's workloads at one moment.
import { describeApiError, isApiSuccess, requestApi } from '../kubernetes/api.ts'
import { restartKey } from '../kubernetes/diagnosis/crash-loop.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { kubectlArgv } from '../kubernetes/kubectl.ts'
import {
  listPodContainers,
  selectKinds,
  timestampMs,
  type Manifest,
} from '../kubernetes/objects.ts'
import { readList, resourcePath } from '../kubernetes/resources.ts'
import { Failure, exit } from '../errors.ts'
import type { ClusterSnapshot } from './workload.ts'

/** ms */
const apiTimeoutMs = 5_000
/** Clocks that differ by less are taken as the same, ms. */
const clockToleranceMs = 2_000

/**
 * What the cluster shows; in words why it does not answer. Throws Failure (refused) when it answers
 * that it may not be asked.
 */
export async function fetchSnapshot(
  environment: Environment,
  resources: string[],
): Promise<ClusterSnapshot | string> {
  const answers = await Promise.all(
    resources.map(one =>
      requestApi(environment, resourcePath(environment, one), { timeout: apiTimeoutMs }),
    ),
  )
  const bad = answers.find(answer => !isApiSuccess(answer))
  if (bad) {
    const why = describeApiError(bad)
    if (/Forbidden|Unauthorized|must be logged in/i.test(why))
      throw new Failure(exit.refused, `Watch ${environment.namespace}`, why, {
        next: `${kubectlArgv(environment).join(' ')} auth can-i list pods`,
      })
    return why
  }
  const all = answers.flatMap(({ text }) => readList(JSON.parse(text) as Manifest))
  return {
    workloads: selectKinds(all, 'Deployment', 'StatefulSet', 'DaemonSet'),
    jobs: selectKinds(all, 'Job'),
    replicaSets: selectKinds(all, 'ReplicaSet'),
    pods: selectKinds(all, 'Pod'),
    events: selectKinds(all, 'Event'),
  }
}

/**
 * How often the containers of pods that were there before the change had been restarted; `since`:
 * ms of the cluster's clock.
 */
export function countRestarts({ pods }: ClusterSnapshot, since: number): Record<string, number> {
  const old = pods.filter(
    ({ metadata }) => timestampMs(metadata.creationTimestamp) < since - clockToleranceMs,
  )
  const counts = old.flatMap(pod =>
    listPodContainers(pod).map(({ status }) => [restartKey(pod, status.name), status.restartCount]),
  )
  return Object.fromEntries(counts)
}
