// Where smoke and admin find the stack.
import type { Target } from './checks.ts'
import { placeOf } from './cluster.ts'
import { Failure, exit } from './errors.ts'
import { clusterTarget } from './target-cluster.ts'
import { composeTarget } from './target-compose.ts'

/** `kind`: compose (the default) or kubernetes; `name`: a mode, or an environment of infra/k8s/overlays. */
export async function targetOf(kind = 'compose', name?: string): Promise<Target> {
  if (kind === 'compose') return composeTarget(name ?? 'dev')
  if (kind === 'kubernetes') return clusterTarget(placeOf(name))
  throw new Failure(exit.usage, 'Read the arguments', `--target ${kind} is not known`, { next: '--target compose or --target kubernetes' })
}
