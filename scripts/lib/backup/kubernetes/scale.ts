// Takes an environment's applications down for a restore, and up again. How many pods each had stands in
// an annotation, so that a restore that was interrupted knows it, too.
import { setTimeout as sleep } from 'node:timers/promises'
import { exit, Failure } from '../../errors.ts'
import { describeApiError, isApiSuccess } from '../../kubernetes/api.ts'
import { describeUnreadyPods } from '../../kubernetes/diagnosis/pod.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingApi } from '../../kubernetes/kubectl-retry.ts'
import {
  isChangeObserved,
  selectKinds,
  type Manifest,
  type Workload,
} from '../../kubernetes/objects.ts'
import { describeMissingReplicas } from '../../kubernetes/replicas.ts'
import { listObjects, resourcePath } from '../../kubernetes/resources.ts'
import { startStopwatch } from '../../deploy/lock/stopwatch.ts'
import { say } from '../../report.ts'

const annotation = 'kgc.hu/replicas-before-restore'
/** ms for pods to end: the longest grace period is 140 s; and for all to be ready: a first migration takes long. */
const [stopLimitMs, startLimitMs] = [300_000, 1_200_000]

/** Whether a restore has scaled a workload down and not yet up again. */
export const isStoppedForRestore = ({ metadata }: Pick<Manifest, 'metadata'>): boolean =>
  metadata.annotations?.[annotation] !== undefined

const listWorkloads = async (environment: Environment, names: string[]): Promise<Workload[]> =>
  selectKinds(
    await listObjects(environment, ['apps/v1/deployments', 'apps/v1/statefulsets'], {
      ask: createRetryingApi(),
    }),
    'Deployment',
    'StatefulSet',
  ).filter(({ metadata }) => names.includes(metadata.name))

async function scale(
  environment: Environment,
  { kind, metadata: { name } }: Workload,
  replicas: number,
  before: string | null,
): Promise<void> {
  const path = resourcePath(environment, `apps/v1/${kind.toLowerCase()}s`, name)
  const answer = await createRetryingApi()(environment, path, {
    method: 'PATCH',
    contentType: 'application/merge-patch+json',
    body: { metadata: { annotations: { [annotation]: before } }, spec: { replicas } },
  })
  if (!isApiSuccess(answer))
    throw new Failure(exit.rolledBack, `Scale ${name}`, describeApiError(answer))
}

/** Scales workloads to nothing and waits until their pods are gone. Throws Failure (5). */
export async function stopWorkloads(environment: Environment, names: string[]): Promise<void> {
  for (const one of await listWorkloads(environment, names)) {
    const { replicas = 1 } = one.spec as { replicas?: number }
    if (replicas) await scale(environment, one, 0, `${replicas}`)
  }
  const passed = startStopwatch()
  for (let left = names; left.length; await sleep(1000)) {
    const pods = selectKinds(await listObjects(environment, ['v1/pods']), 'Pod')
    left = names.filter(name =>
      pods.some(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === name),
    )
    if (left.length && passed() > stopLimitMs)
      throw new Failure(exit.rolledBack, 'Stop the applications', `${left.join(', ')} do not end`)
  }
}

/** Gives workloads the pods that they had, and waits until they are ready. Throws Failure (6). */
export async function startWorkloads(environment: Environment, names: string[]): Promise<void> {
  for (const one of await listWorkloads(environment, names)) {
    const before = one.metadata.annotations?.[annotation]
    if (before !== undefined) await scale(environment, one, Number(before), null)
  }
  const passed = startStopwatch()
  for (let said = 0; ; await sleep(1000)) {
    const all = await listWorkloads(environment, names)
    const waiting = all.filter(one => !isChangeObserved(one) || describeMissingReplicas(one))
    if (!waiting.length) return
    const list = waiting.map(({ metadata }) => metadata.name).join(', ')
    if (passed() > startLimitMs) throw await createStartFailure(environment, list)
    if (passed() > said + 30_000) say(`  waiting for ${list}`)
    if (passed() > said + 30_000) said = passed()
  }
}

async function createStartFailure(environment: Environment, names: string): Promise<Failure> {
  const all: Manifest[] = await listObjects(environment, ['v1/pods', 'v1/events'])
  const [pods, events] = [selectKinds(all, 'Pod'), selectKinds(all, 'Event')]
  return new Failure(exit.broken, 'Start the applications', `${names} are not ready`, {
    evidence: describeUnreadyPods(pods, events, Date.now()),
    next: 'the same command again: it goes on here',
    serving: 'the restored data is in its place; what was there before is kept beside it',
  })
}
