// Waits until the Sealed Secrets controller has unsealed what was applied: before that, restarted
// pods read the old values.
import { findObject } from '../../kubernetes/resources.ts'
import { findCondition, isChangeObserved, type Manifest } from '../../kubernetes/objects.ts'
import { kubectlArgv } from '../../kubernetes/kubectl.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { createRetryingApi, type LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import { Failure, exit } from '../../errors.ts'
import { constantDelays, pollUntil } from '../../retry.ts'

/**
 * ms: at most for the controller, between two looks, and for one that says no: it tries five
 * times within a second.
 */
const unsealTimesMs = { most: 30_000, pause: 500, no: 3_000 }

const unsealing = 'Unseal the secrets'

/** A SealedSecret that is not opened, and why; `no`: the controller has tried. */
interface ClosedSecret {
  name: string
  words: string
  no?: boolean
}

const isSealedSecret = ({ kind }: Manifest): boolean => kind === 'SealedSecret'
/** Whether pods may read it as a Secret, sealed or not. */
export const isSecret = ({ kind }: Manifest): boolean => /^(Sealed)?Secret$/.test(kind)

/** The objects in their order, cut behind each secret, sealed or not, that something else follows. */
export function splitAfterSecrets(all: Manifest[]): Manifest[][] {
  const end = all.findIndex((one, i) => isSecret(one) && all[i + 1] && !isSecret(all[i + 1]!)) + 1
  return end ? [all.slice(0, end), ...splitAfterSecrets(all.slice(end))] : [all]
}

/**
 * What keeps a SealedSecret closed, in words; '' when its Secret holds what was sealed. `no`: the
 * controller has tried.
 */
export function readUnsealError(live: Manifest | undefined): { words: string; no?: boolean } {
  if (!live) return { words: 'it is not there any more' }
  const { status, message } = findCondition(live, 'Synced') ?? {}
  if (!isChangeObserved(live))
    return {
      words: 'the Sealed Secrets controller has not unsealed it: it is missing or does not work',
    }
  return status === 'True'
    ? { words: '' }
    : { words: message || 'the Sealed Secrets controller does not say why', no: true }
}

/**
 * Waits until the SealedSecrets among these objects are opened. Throws Failure (broken) with the
 * controller's words.
 */
export async function waitUntilUnsealed(
  environment: Environment,
  all: Manifest[],
  lossFailure?: LockLossCheck,
  { most, pause, no } = unsealTimesMs,
): Promise<void> {
  const names = all.filter(isSealedSecret).map(({ metadata }) => metadata.name)
  if (!names.length) return
  let refused = 0
  const isOver = (left: ClosedSecret[]) => {
    refused = left.some(one => one.no) ? refused || Date.now() : 0
    return !left.length || (refused > 0 && Date.now() - refused >= no)
  }
  const closed = await pollUntil(
    () => fetchClosedSecrets(environment, names, lossFailure),
    isOver,
    constantDelays(pause, most),
  )
  if (closed.length) throw createUnsealFailure(environment, closed)
}

/** Those of these SealedSecrets that are not opened. */
async function fetchClosedSecrets(
  environment: Environment,
  names: string[],
  lossFailure?: LockLossCheck,
): Promise<ClosedSecret[]> {
  const options = { what: unsealing, ask: createRetryingApi(lossFailure) }
  // by their names: to list them all may not be allowed
  const live = await Promise.all(
    names.map(name => findObject(environment, 'bitnami.com/v1alpha1/sealedsecrets', name, options)),
  )
  return names
    .map((name, i) => ({ name, ...readUnsealError(live[i]) }))
    .filter(({ words }) => words)
}

function createUnsealFailure(environment: Environment, left: ClosedSecret[]): Failure {
  const [first] = [...left].sort((a, b) => Number(b.no ?? false) - Number(a.no ?? false))
  const look = `${kubectlArgv(environment).join(' ')} get sealedsecret ${first!.name} --output yaml`
  return new Failure(
    exit.broken,
    unsealing,
    left.map(({ name, words }) => `SealedSecret ${name}: ${words}`).join('; '),
    {
      next: left.some(({ no }) => no)
        ? `${look}, or npx zx scripts/seal.ts ${environment.name} --check`
        : look,
    },
  )
}
