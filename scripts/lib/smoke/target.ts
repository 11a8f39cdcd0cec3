// Where smoke and admin find the stack.
import type { Target } from './checks.ts'
import { Failure, exit } from '../errors.ts'

/** `kind`: compose (the default) or kubernetes; `name`: a mode, or an environment of infra/k8s/overlays. */
export async function targetOf(kind = 'compose', name?: string): Promise<Target> {
  // each side is read only where it is asked for: `smoke --quick` is a matter of tenths of a second
  if (kind === 'compose') return (await import('./target-compose.ts')).composeTarget(name ?? 'dev')
  if (kind === 'kubernetes')
    return (await import('./target-cluster.ts')).clusterTarget(
      (await import('../cluster/place.ts')).placeOf(name),
    )
  throw new Failure(exit.usage, 'Read the arguments', `--target ${kind} is not known`, {
    next: '--target compose or --target kubernetes',
  })
}
