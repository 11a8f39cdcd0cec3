// The permissions that an account needs for a change, checked before it begins.
import { type Manifest } from '../../kubernetes/objects.ts'
import { kubectlArgv } from '../../kubernetes/kubectl.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { findMissingPermissions, listRequiredPermissions } from '../../kubernetes/permissions.ts'
import { Failure, exit } from '../../errors.ts'

/**
 * Throws Failure (refused) when the account may not do all that a deploy of these manifests does.
 */
export async function requirePermissions(environment: Environment, all: Manifest[]): Promise<void> {
  const denied = await findMissingPermissions(environment, listRequiredPermissions(all))
  if (denied.length)
    throw new Failure(
      exit.refused,
      'Check the permissions of this account',
      `it may not: ${denied.join(', ')}`,
      {
        next: `${kubectlArgv(environment).join(' ')} auth can-i --list; the rights are in infra/k8s/cluster/deployer`,
      },
    )
}
