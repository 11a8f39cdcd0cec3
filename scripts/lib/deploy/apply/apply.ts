// Applies manifests to the cluster, and deletes objects from it.
import { resourceId, type Manifest } from '../../kubernetes/objects.ts'
import { requireKubectlSuccess, kubectlArgv, readKubectlError } from '../../kubernetes/kubectl.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import {
  isApiAway,
  createRetryingKubectl,
  type LockLossCheck,
} from '../../kubernetes/kubectl-retry.ts'
import { Failure, exit } from '../../errors.ts'
import { prepareJobs } from './jobs.ts'
import { applyOrderOf, applyOrders } from './order.ts'
import { isWorkload, waitForRollout, type RolloutOptions } from '../../rollout/wait.ts'
import { say, warn } from '../../report.ts'
import type { RunOutput, RunOptions } from '../../run.ts'
import { isSecret, splitAfterSecrets, waitUntilUnsealed } from './unseal.ts'

/**
 * What became of an object that was to be applied or removed: it is done, it is not, or the answer
 * was lost.
 */
export type ApplyResult = 'done' | 'not' | 'unknown'
/** Hears what became of each object, in the end. */
export type ApplyListener = (one: Manifest, how: ApplyResult) => void

/**
 * Applies objects as kubectl does: an apply by hand later owns the same fields.
 * While the API server is away it is tried again:
 * to apply twice is to apply once. Throws what `lossFailure` says as soon as it does.
 */
export async function applyManifests(
  environment: Environment,
  all: Manifest[],
  lossFailure?: LockLossCheck,
  onApplied?: ApplyListener,
): Promise<void> {
  if (!all.length) return
  const what = `Apply ${all.map(resourceId).slice(0, 3).join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}`
  const argv = [
    'apply',
    '--server-side',
    '--force-conflicts',
    '--field-manager',
    'kubectl',
    '--output',
    'name',
    '--filename',
    '-',
  ]
  const output = await runAndReport(
    environment,
    argv,
    { input: all.map(one => JSON.stringify(one)).join('\n'), timeout: 120_000 },
    all,
    lossFailure,
    onApplied,
  )
  if (output.code !== 0)
    throw new Failure(exit.broken, what, readKubectlError(output), {
      next: `${kubectlArgv(environment).join(' ')} get events`,
    })
}

/**
 * Deletes objects and waits at most a minute until they are gone: what a finalizer holds goes
 * later.
 */
export async function deleteObjects(
  environment: Environment,
  all: Manifest[],
  lossFailure?: LockLossCheck,
  onApplied?: ApplyListener,
): Promise<void> {
  if (!all.length) return
  for (const one of all) say(`  removed: ${resourceId(one)}`)
  const names = all.map(({ apiVersion, kind, metadata }) => ({
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace: environment.namespace },
  }))
  const argv = [
    'delete',
    '--ignore-not-found',
    '--timeout',
    '60s',
    '--output',
    'name',
    '--filename',
    '-',
  ]
  const options = {
    input: names.map(one => JSON.stringify(one)).join('\n'),
    timeout: 120_000,
    what: 'Remove objects that the new release does not have',
  }
  const output = await runAndReport(environment, argv, options, all, lossFailure, onApplied)
  if (/timed out waiting/.test(output.stderr))
    warn(`Not removed after a minute: ${readKubectlError(output)}`)
  else requireKubectlSuccess(environment, argv, options, output)
}

/** kubectl as often as it takes, with what became of each object by the names that it printed. */
async function runAndReport(
  environment: Environment,
  argv: string[],
  options: RunOptions,
  all: Manifest[],
  lossFailure?: LockLossCheck,
  onApplied?: ApplyListener,
): Promise<RunOutput> {
  let said = ''
  let output: RunOutput | undefined
  try {
    return (output = await createRetryingKubectl(lossFailure)(environment, argv, {
      ...options,
      nothrow: true,
      onOutput: text => (said += text),
    }))
  } finally {
    const names = new Set(said.split('\n'))
    const cut = !output || [124, 137].includes(output.code) || isApiAway(said)
    const unnamed = cut ? 'unknown' : 'not'
    for (const one of all) {
      const isDone = output?.code === 0 || names.has(outputNameOf(one))
      onApplied?.(one, isDone ? 'done' : unnamed)
    }
  }
}

/** An object's name as `--output name` prints it. */
const outputNameOf = ({ apiVersion, kind, metadata }: Manifest): string => {
  const [, group] = ((apiVersion ?? '') as string).split('/').reverse()
  return `${kind.toLowerCase()}${group ? `.${group}` : ''}/${metadata.name}`
}

/**
 * Applies a change in its order: data, migrations, applications, edge. Nothing of an order begins
 * before the Jobs of those before have ended well, or before what is sealed is opened; orders
 * without either between them go in one call. `onApplied` hears what became of each object; `onSecrets`
 * works when all secrets are there, before a pod is changed that reads one.
 */
export async function applyInOrder(
  wait: RolloutOptions,
  objects: Manifest[],
  migrations: Manifest[],
  onApplied: ApplyListener,
  onSecrets: () => Promise<void> = async () => {},
): Promise<void> {
  let waiting: Manifest[] = []
  if (!objects.some(isSecret)) await onSecrets()
  const putAll = async (order: string) => {
    await wait.lock.recordPhase(`apply ${order}`)
    for (const part of splitAfterSecrets(waiting)) {
      // each order has its time from here on: a migration before it may have taken long
      wait.since = Date.now()
      await applyManifests(wait.environment, part, wait.lock.lossFailure, onApplied)
      await waitUntilUnsealed(wait.environment, part, wait.lock.lossFailure)
      if (part.some(isSecret)) await onSecrets()
    }
    waiting = []
  }
  for (const order of applyOrders) {
    const now = objects.filter(one => applyOrderOf(one) === order)
    const gates = migrations.filter(one => applyOrderOf(one) === order)
    if (now.length || gates.length)
      say(`  ${order}: ${[...now, ...gates].map(resourceId).join(', ')}`)
    waiting.push(...now)
    if (!gates.length) continue
    await putAll(order)
    const jobs = await prepareJobs(wait, gates)
    wait.since = Date.now()
    await applyManifests(wait.environment, jobs, wait.lock.lossFailure, onApplied)
    // a database that does not come up ends the wait for the Job that needs it
    await waitForRollout({ ...wait, stableMs: 0 }, [
      ...gates,
      ...objects.filter(one => isWorkload(one) && applyOrderOf(one) === 'data'),
    ])
  }
  if (waiting.length) await putAll(applyOrderOf(waiting.at(-1)!))
}
