// How manifests get into the cluster, and objects out of it.
import { done, kubectlArgv, lastLine, list, type Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { retried, type Lost } from '../cluster/retried.ts'
import { Failure, exit } from '../errors.ts'
import { orderOf, orders, title } from './manifests.ts'
import { isWorkload, ready, type Wait } from './readiness.ts'
import { say, warn } from '../report.ts'
import type { Cause } from '../rollout/judge.ts'
import { containersOf } from '../rollout/objects.ts'
import { owns } from '../rollout/owners.ts'
import { hasEnded, hasRun, isSame } from './stamp.ts'
import { opened, parts } from './unsealed.ts'

/**
 * Applies objects as kubectl does: whoever applies by hand the next time owns the same fields. While the API server is away it is tried again:
 * to apply twice is to apply once. Throws what `lost` says as soon as it does.
 */
export async function put(place: Place, all: Manifest[], lost?: Lost): Promise<void> {
  if (!all.length) return
  const what = `Apply ${all.map(title).slice(0, 3).join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}`
  const argv = ['apply', '--server-side', '--force-conflicts', '--field-manager', 'kubectl', '--output', 'name', '--filename', '-']
  const output = await retried(lost)(place, argv, { input: all.map(one => JSON.stringify(one)).join('\n'), nothrow: true, timeout: 120_000 })
  if (output.code !== 0) throw new Failure(exit.broken, what, lastLine(output), { next: `${kubectlArgv(place).join(' ')} get events` })
}

/** Deletes objects and waits for a while until they are gone: what a finalizer holds goes later. */
export async function remove(place: Place, all: Manifest[], lost?: Lost): Promise<void> {
  for (const one of all) say(`  removed: ${title(one)}`)
  const list = all.map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata: { name: metadata.name, namespace: place.namespace } }))
  if (list.length)
    await gone(place, ['delete', '--ignore-not-found', '--timeout', '60s', '--filename', '-'], list, lost)
}

async function gone(place: Place, argv: string[], list: object[], lost?: Lost): Promise<void> {
  const what = { timeout: 120_000, what: 'Remove what is not part of it any more' }
  const output = await retried(lost)(place, argv, { ...what, input: list.map(one => JSON.stringify(one)).join('\n'), nothrow: true })
  if (/timed out waiting/.test(output.stderr)) warn(`Not gone after a minute: ${lastLine(output)}`)
  else done(place, argv, what, output)
}

/**
 * Applies a change in its order: data, migrations, applications, edge. Nothing of an order begins before the Jobs of those before have
 * ended well, or before what is sealed is opened; orders without either between them go in one call. `applied` hears of every object before it is.
 */
export async function inOrder(wait: Wait, objects: Manifest[], jobs: Manifest[], applied: (all: Manifest[]) => void): Promise<void> {
  let waiting: Manifest[] = []
  const putAll = async (order: string) => {
    await wait.lock.phase(`apply ${order}`)
    for (const part of parts(waiting)) {
      applied(part)
      // each order has its time from here on: a migration before it may have taken long
      wait.since = Date.now()
      await put(wait.place, part, wait.lock.lost)
      await opened(wait.place, part, wait.lock.lost)
    }
    waiting = []
  }
  for (const order of orders) {
    const now = objects.filter(one => orderOf(one) === order)
    const gates = jobs.filter(one => orderOf(one) === order)
    if (now.length || gates.length) say(`  ${order}: ${[...now, ...gates].map(title).join(', ')}`)
    waiting.push(...now)
    if (!gates.length) continue
    await putAll(order)
    await start(wait, gates)
    // a database that does not come up ends the wait for the Job that needs it
    await ready({ ...wait, stable: 0 }, [...gates, ...objects.filter(one => isWorkload(one) && orderOf(one) === 'data')])
  }
  if (waiting.length) await putAll(orderOf(waiting.at(-1)!))
}

/** ms between two looks at a Job that is not waited for otherwise. */
const pause = 3_000

/**
 * Starts Jobs anew: one cannot be changed. The same one that runs already is left to run, or has ended well since the plan was made; another is
 * waited for, not cut off.
 */
async function start(wait: Wait, jobs: Manifest[]): Promise<void> {
  const { place, lock } = wait
  for (let said = ''; ; ) {
    const live = await list(place, 'jobs', [], retried(lock.lost))
    const here = (job: Manifest) => live.find(one => title(one) === title(job))
    const running = jobs.filter(job => here(job) && !hasEnded(here(job)!))
    const others = running.filter(job => !isSame(job, here(job)!))
    if (others.length) {
      const words = `  ${others.map(title).join(', ')} of an earlier change still runs; waiting for its end`
      if (words !== said) say((said = words))
      await letEnd(wait, others)
      continue
    }
    const due = jobs.filter(job => !running.includes(job) && !(here(job) && hasRun(job, here(job)!)))
    const old = due.filter(here).map(({ metadata }) => metadata.name)
    // its pods may go later: those of the new one are told apart by their owner
    if (old.length) await drop(wait, old, `Remove the finished ${old.join(', ')}`)
    wait.since = Date.now()
    return put(place, due, lock.lost)
  }
}

const drop = ({ place, lock }: Wait, names: string[], what: string) =>
  retried(lock.lost)(place, ['delete', 'job', ...names, '--ignore-not-found'], { timeout: 120_000, what })

/** Waits for the end of Jobs, or a moment. One that hangs and has not begun is removed: what keeps it from beginning may never be mended. */
async function letEnd(wait: Wait, jobs: Manifest[]): Promise<void> {
  const { place, lock } = wait
  const failure = await ready({ ...wait, since: Date.now(), stable: 0 }, jobs).then(() => undefined, (error: Failure & { cause?: Cause }) => error)
  if (lock.lost()) throw lock.lost()
  if (!failure) return
  if (![exit.broken, exit.timeout].some(code => code === failure.code)) throw failure
  const all = await list(place, 'jobs,pods', [], retried(lock.lost))
  const hung = all.find(({ kind, metadata }) => kind === 'Job' && metadata.name === failure.cause?.name)
  if (!hung || hasEnded(hung) || begun(hung, all)) return void (await new Promise(done => setTimeout(done, pause)))
  say(`  removed: ${title(hung)} of an earlier change, of which nothing has run: ${failure.why}`)
  await drop(wait, [hung.metadata.name], `Remove ${hung.metadata.name}`)
}

/** Whether a Job has begun its work, or may be at it. What ran before that and ended well (it has waited for a database) is not the work. */
function begun(job: Manifest, all: Manifest[]): boolean {
  const pods = all.filter(one => one.kind === 'Pod' && owns(job, one))
  const worked = pods.flatMap(containersOf).some(({ init, status: { state = {}, lastState = {} } }) => {
    const end = state.terminated ?? lastState.terminated
    return state.running || (end && !(init && end.exitCode === 0))
  })
  return Boolean(job.status?.failed || job.status?.succeeded || worked)
}
