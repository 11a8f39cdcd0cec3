// What a drill has made goes with its workplace, by the cluster itself.
import { exit, Failure } from '../../../errors.ts'
import type { Environment } from '../../../kubernetes/environment.ts'
import { kubectlArgv } from '../../../kubernetes/kubectl.ts'
import { resourceId } from '../../../kubernetes/objects.ts'
import { listObjects } from '../../../kubernetes/resources.ts'
import { constantDelays, pollUntil } from '../../../retry.ts'
import { drillLabel } from './objects.ts'

const kinds = [
  ...['apps/v1/deployments', 'apps/v1/statefulsets', 'batch/v1/jobs', 'v1/pods', 'v1/services'],
  ...['v1/persistentvolumeclaims', 'networking.k8s.io/v1/networkpolicies'],
]
/** ms: a node may have to let go of a volume first. */
const removalLimitMs = 180_000

/** Waits until nothing of a drill is left. Throws Failure (5) with what stays. */
export async function requireGone(environment: Environment): Promise<void> {
  const left = await pollUntil(
    async () =>
      (await listObjects(environment, kinds))
        .filter(({ metadata }) => metadata.labels?.[drillLabel])
        .map(resourceId),
    left => !left.length,
    constantDelays(1000, removalLimitMs),
  )
  if (!left.length) return
  throw new Failure(
    exit.rolledBack,
    'Remove what a drill has made',
    `not gone: ${left.join(', ')}`,
    {
      next: `${kubectlArgv(environment).join(' ')} describe ${left[0]!.replace(' ', '/')}`,
    },
  )
}
