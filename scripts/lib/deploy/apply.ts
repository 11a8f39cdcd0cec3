// How manifests get into the cluster, and objects out of it.
import { kubectl, kubectlArgv, lastLine, list, type Manifest, type Place } from '../cluster/cluster.ts'
import { Failure, exit } from '../errors.ts'
import { orderOf, orders, title } from './plan.ts'
import { isWorkload, ready, type Wait } from './readiness.ts'
import { say } from '../report.ts'
import { jobStamp } from './stamp.ts'

/** What kubectl says when the API server is away for a moment. */
const away =
  /connection refused|connection reset|i\/o timeout|TLS handshake timeout|unexpected EOF|Unable to connect|ServiceUnavailable|apiserver not ready|etcdserver/i

/**
 * Applies objects as kubectl does: whoever applies by hand the next time owns the same fields. While the API server is away it is tried again,
 * for 45 s: to apply twice is to apply once.
 */
export async function put(place: Place, all: Manifest[]): Promise<void> {
  if (!all.length) return
  const what = `Apply ${all.map(title).slice(0, 3).join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}`
  const argv = ['apply', '--server-side', '--force-conflicts', '--field-manager', 'kubectl', '--output', 'name', '--filename', '-']
  for (const end = Date.now() + 45_000; ; await new Promise(done => setTimeout(done, 2000))) {
    const output = await kubectl(place, argv, { input: all.map(one => JSON.stringify(one)).join('\n'), nothrow: true, timeout: 120_000 })
    if (output.code === 0) return
    if (!away.test(output.stderr) || Date.now() > end)
      throw new Failure(exit.broken, what, lastLine(output), { next: `${kubectlArgv(place).join(' ')} get events` })
    say('  the API server does not answer; tried again')
  }
}

/** Deletes objects and waits until they are gone. */
export async function remove(place: Place, all: Manifest[]): Promise<void> {
  for (const one of all) say(`  removed: ${title(one)}`)
  const list = all.map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata: { name: metadata.name, namespace: place.namespace } }))
  if (list.length)
    await kubectl(place, ['delete', '--ignore-not-found', '--filename', '-'], {
      input: list.map(one => JSON.stringify(one)).join('\n'),
      timeout: 120_000,
      what: 'Remove what is not part of it any more',
    })
}

/**
 * Applies a change in its order: data, migrations, applications, edge. Nothing of an order begins before the Jobs of those before have
 * ended well; orders without a Job between them go in one call. `applied` hears of every object before it is.
 */
export async function inOrder(wait: Wait, objects: Manifest[], jobs: Manifest[], applied: (all: Manifest[]) => void): Promise<void> {
  let waiting: Manifest[] = []
  const putAll = async (order: string) => {
    await wait.lock.phase(`apply ${order}`)
    applied(waiting)
    await put(wait.place, waiting)
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

const ended = ({ status }: Manifest) =>
  (status?.conditions as { type: string; status: string }[] | undefined)?.some(one => ['Complete', 'Failed'].includes(one.type) && one.status === 'True')

/** Starts Jobs anew: one cannot be changed. The same one that runs already is left to run; another is waited for, not cut off. */
async function start(wait: Wait, jobs: Manifest[]): Promise<void> {
  const { place, lock } = wait
  for (;;) {
    const live = await list(place, 'jobs')
    const here = (job: Manifest) => live.find(one => title(one) === title(job))
    const stampOf = (job: Manifest) => job.metadata.annotations?.[jobStamp]
    const running = jobs.filter(job => here(job) && !ended(here(job)!))
    const others = running.filter(job => stampOf(here(job)!) !== stampOf(job))
    if (others.length) {
      say(`  ${others.map(title).join(', ')} of an earlier change still runs; waiting for its end`)
      await ready({ ...wait, stable: 0 }, others).catch(() => {})
      if (lock.lost()) throw lock.lost()
      continue
    }
    const due = jobs.filter(job => !running.includes(job))
    const old = due.filter(here).map(({ metadata }) => metadata.name)
    // its pods may go later: those of the new one are told apart by their owner
    if (old.length) await kubectl(place, ['delete', 'job', ...old, '--ignore-not-found'], { timeout: 120_000, what: `Remove the finished ${old.join(', ')}` })
    return put(place, due)
  }
}
