// Pods from before a change, which still know an old password.
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingApi, type LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import { selectKinds, selectWorkloads, type Manifest, type Pod } from '../../kubernetes/objects.ts'
import { listObjects } from '../../kubernetes/resources.ts'
import { readsSecretKey, type PasswordServer } from '../../kubernetes/rotation/servers.ts'
import { constantDelays, pollUntil } from '../../retry.ts'
import { say } from '../../report.ts'
import { configChecksumAnnotation } from '../apply/checksums.ts'

/** ms: between two looks, and beyond the time that pods themselves may take to end. */
const waitTimesMs = { pause: 1_000, more: 30_000 }

/**
 * The pods that read the passwords of these servers and are not as the manifests say, or on their way
 * out: they began before the change.
 */
export function findOldReaders(
  pods: Pod[],
  manifests: Manifest[],
  servers: PasswordServer[],
): Pod[] {
  const stamps = selectWorkloads(manifests).map(
    ({ spec }) => spec.template.metadata?.annotations?.[configChecksumAnnotation] as string,
  )
  return pods.filter(
    pod =>
      !['Succeeded', 'Failed'].includes(pod.status.phase ?? '') &&
      !servers.some(one => one.pod === pod.metadata.name) &&
      (pod.metadata.deletionTimestamp ||
        !stamps.includes(pod.metadata.annotations?.[configChecksumAnnotation] ?? '')) &&
      servers.some(({ password: { secret, key } }) =>
        readsSecretKey(pod as unknown as Manifest, secret, key),
      ),
  )
}

/** Waits until such pods are gone, as long as they may take to end. Out: the names of those left. */
export async function waitForOldReaders(
  environment: Environment,
  manifests: Manifest[],
  servers: PasswordServer[],
  lossFailure: LockLossCheck,
): Promise<string[]> {
  const ask = createRetryingApi(lossFailure)
  const look = async () => {
    const all = await listObjects(environment, ['v1/pods'], { ask })
    return findOldReaders(selectKinds(all, 'Pod'), manifests, servers)
  }
  const first = await look()
  if (!first.length) return []
  const names = (pods: Pod[]) => pods.map(({ metadata }) => metadata.name)
  say(`  waiting for ${names(first).join(', ')}, which know the old password`)
  const seconds = first.map(({ spec }) => spec.terminationGracePeriodSeconds ?? 30)
  const most = Math.max(...seconds) * 1000 + waitTimesMs.more
  return names(await pollUntil(look, left => !left.length, constantDelays(waitTimesMs.pause, most)))
}
