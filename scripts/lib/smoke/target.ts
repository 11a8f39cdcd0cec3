// Where smoke and admin find the stack.
import type { SmokeTarget } from './checks.ts'
import { Failure, exit } from '../errors.ts'

/**
 * `kind`: compose (the default) or kubernetes; `name`: a mode, or an environment of
 * infra/k8s/overlays.
 */
export async function createTarget(kind = 'compose', name?: string): Promise<SmokeTarget> {
  // each side is read only where it is asked for: `smoke --quick` is a matter of tenths of a second
  if (kind === 'compose')
    return (await import('./compose-target.ts')).createComposeTarget(name ?? 'dev')
  if (kind === 'kubernetes')
    return (await import('./kubernetes-target.ts')).createKubernetesTarget(
      (await import('../kubernetes/environment.ts')).loadEnvironment(name),
    )
  throw new Failure(exit.usage, 'Read the arguments', `--target ${kind} is not known`, {
    next: '--target compose or --target kubernetes',
  })
}
