// How manifests get into the cluster, and objects out of it.
import { done, kubectlArgv, lastLine, type Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { isAway, retried, type Lost } from '../cluster/retried.ts'
import { Failure, exit } from '../errors.ts'
import { due } from './jobs.ts'
import { orderOf, orders, title } from './manifests.ts'
import { isWorkload, ready, type Wait } from './readiness.ts'
import { say, warn } from '../report.ts'
import type { Output, RunOptions } from '../run.ts'
import { opened, parts } from './unsealed.ts'

/** What became of an object that was to be applied or removed: it is done, it is not, or the answer was lost. */
export type Became = 'done' | 'not' | 'unknown'
/** Hears what became of each object, in the end. */
export type Hears = (one: Manifest, how: Became) => void

/**
 * Applies objects as kubectl does: whoever applies by hand the next time owns the same fields. While the API server is away it is tried again:
 * to apply twice is to apply once. Throws what `lost` says as soon as it does.
 */
export async function put(
  place: Place,
  all: Manifest[],
  lost?: Lost,
  hears?: Hears,
): Promise<void> {
  if (!all.length) return
  const what = `Apply ${all.map(title).slice(0, 3).join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}`
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
  const output = await heard(
    place,
    argv,
    { input: all.map(one => JSON.stringify(one)).join('\n'), timeout: 120_000 },
    all,
    lost,
    hears,
  )
  if (output.code !== 0)
    throw new Failure(exit.broken, what, lastLine(output), {
      next: `${kubectlArgv(place).join(' ')} get events`,
    })
}

/** Deletes objects and waits a minute at the most until they are gone: what a finalizer holds goes later. */
export async function remove(
  place: Place,
  all: Manifest[],
  lost?: Lost,
  hears?: Hears,
): Promise<void> {
  if (!all.length) return
  for (const one of all) say(`  removed: ${title(one)}`)
  const names = all.map(({ apiVersion, kind, metadata }) => ({
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace: place.namespace },
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
    what: 'Remove what is not part of it any more',
  }
  const output = await heard(place, argv, options, all, lost, hears)
  if (/timed out waiting/.test(output.stderr)) warn(`Not gone after a minute: ${lastLine(output)}`)
  else done(place, argv, options, output)
}

/** kubectl as often as it takes, with what became of each object by the names that it printed. */
async function heard(
  place: Place,
  argv: string[],
  options: RunOptions,
  all: Manifest[],
  lost?: Lost,
  hears?: Hears,
): Promise<Output> {
  let said = ''
  let output: Output | undefined
  try {
    return (output = await retried(lost)(place, argv, {
      ...options,
      nothrow: true,
      onOutput: text => (said += text),
    }))
  } finally {
    const names = new Set(said.split('\n'))
    const cut = !output || [124, 137].includes(output.code) || isAway(said)
    for (const one of all)
      hears?.(one, output?.code === 0 || names.has(nameOf(one)) ? 'done' : cut ? 'unknown' : 'not')
  }
}

/** An object's name as `--output name` prints it. */
const nameOf = ({ apiVersion, kind, metadata }: Manifest): string => {
  const [, group] = ((apiVersion ?? '') as string).split('/').reverse()
  return `${kind.toLowerCase()}${group ? `.${group}` : ''}/${metadata.name}`
}

/**
 * Applies a change in its order: data, migrations, applications, edge. Nothing of an order begins before the Jobs of those before have
 * ended well, or before what is sealed is opened; orders without either between them go in one call. `hears`: what became of each object.
 */
export async function inOrder(
  wait: Wait,
  objects: Manifest[],
  migrations: Manifest[],
  hears: Hears,
): Promise<void> {
  let waiting: Manifest[] = []
  const putAll = async (order: string) => {
    await wait.lock.phase(`apply ${order}`)
    for (const part of parts(waiting)) {
      // each order has its time from here on: a migration before it may have taken long
      wait.since = Date.now()
      await put(wait.place, part, wait.lock.lost, hears)
      await opened(wait.place, part, wait.lock.lost)
    }
    waiting = []
  }
  for (const order of orders) {
    const now = objects.filter(one => orderOf(one) === order)
    const gates = migrations.filter(one => orderOf(one) === order)
    if (now.length || gates.length) say(`  ${order}: ${[...now, ...gates].map(title).join(', ')}`)
    waiting.push(...now)
    if (!gates.length) continue
    await putAll(order)
    const jobs = await due(wait, gates)
    wait.since = Date.now()
    await put(wait.place, jobs, wait.lock.lost, hears)
    // a database that does not come up ends the wait for the Job that needs it
    await ready({ ...wait, stable: 0 }, [
      ...gates,
      ...objects.filter(one => isWorkload(one) && orderOf(one) === 'data'),
    ])
  }
  if (waiting.length) await putAll(orderOf(waiting.at(-1)!))
}
