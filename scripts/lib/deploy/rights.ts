// What an account must be allowed to do for a change, asked before it begins.
import { kubectlArgv, type Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { lacking, rightsOf } from '../cluster/rights.ts'
import { Failure, exit } from '../errors.ts'

/** Throws Failure (refused) when the account may not do all that a deploy of these manifests does. */
export async function mayAll(place: Place, all: Manifest[]): Promise<void> {
  const denied = await lacking(place, rightsOf(all))
  if (denied.length)
    throw new Failure(
      exit.refused,
      'Ask what this account may do',
      `it may not: ${denied.join(', ')}`,
      {
        next: `${kubectlArgv(place).join(' ')} auth can-i --list; the rights are in infra/k8s/cluster/deployer`,
      },
    )
}
