// The versions of Kubernetes that the manifests and the deploy need.
import { Failure, exit } from '../errors.ts'
import { isVersionAtLeast } from '../version.ts'
import { describeApiError, isApiSuccess, requestApi } from './api.ts'
import type { Environment } from './environment.ts'
import { kubectl } from './kubectl.ts'

/** The lowest version of the cluster and of kubectl: the manifests use `preStop.sleep`. */
export const minimumKubernetesVersion = '1.30'

interface KubernetesVersion {
  gitVersion: string
}

/**
 * kubectl is there and as new as it must be, and so is the cluster, which answers in the
 * environment's context. Throws Failure (refused) when not.
 */
export async function requireSupportedCluster(environment: Environment): Promise<true> {
  const next = `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${environment.name}`
  const what = `Ask the cluster of ${environment.name}`
  const [output, answer] = await Promise.all([
    kubectl(environment, ['version', '--client', '--output', 'json'], { what }),
    requestApi(environment, '/version', { timeout: 15_000, what }),
  ])
  if (!isApiSuccess(answer))
    throw new Failure(exit.refused, what, describeApiError(answer), { next })
  const { clientVersion } = JSON.parse(output.stdout) as { clientVersion: KubernetesVersion }
  requireMinimum('Kubernetes', JSON.parse(answer.text) as KubernetesVersion, next)
  requireMinimum('kubectl', clientVersion, 'https://kubernetes.io/docs/tasks/tools/#kubectl')
  return true
}

function requireMinimum(name: string, { gitVersion }: KubernetesVersion, next: string): void {
  if (isVersionAtLeast(gitVersion, minimumKubernetesVersion)) return
  const why = `${name} is ${gitVersion}, ${minimumKubernetesVersion} is needed`
  throw new Failure(exit.refused, 'Check the versions', why, { next })
}
