// A restore whose swap has begun in an environment: until it has come to its end nothing may start there.
import { describeApiError, isApiSuccess } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingApi } from '../../kubernetes/kubectl-retry.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { deleteObject, resourcePath } from '../../kubernetes/resources.ts'
import { describeUnderway, findUnderway, underwayName } from '../../deploy/preflight/held-back.ts'
import { exit, Failure } from '../../errors.ts'

/** Says that the restore of a backup swaps. A second time changes nothing. */
export async function markSwapping(environment: Environment, backup: string): Promise<void> {
  const answer = await createRetryingApi()(
    environment,
    resourcePath(environment, 'v1/configmaps'),
    {
      method: 'POST',
      body: {
        ...{ apiVersion: 'v1', kind: 'ConfigMap' },
        ...{ metadata: { name: underwayName }, data: { backup } },
      },
    },
  )
  const isThere = answer.status === 409
  if (isApiSuccess(answer) || isThere) return
  throw new Failure(exit.rolledBack, 'Note that the restore swaps', describeApiError(answer))
}

/** Says that it has come to its end. */
export const clearSwapping = (environment: Environment): Promise<void> =>
  deleteObject(environment, 'v1/configmaps', underwayName, { ask: createRetryingApi() })

/** Throws Failure (refused) while the swap of a restore has not come to its end. In: the objects of the environment. */
export function refuseSwapping(all: Manifest[], what: string): void {
  const backup = findUnderway(all)
  if (backup === undefined) return
  throw new Failure(exit.refused, what, describeUnderway(backup), {
    next: `the restore of ${backup} again: it goes on where it stood`,
  })
}
