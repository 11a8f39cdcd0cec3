// How manifests get into the cluster, and objects out of it.
import { kubectl, kubectlArgv, lastLine, list, type Manifest, type Place } from './cluster.ts'
import { Failure, exit } from './errors.ts'
import type { Lock } from './lock.ts'
import { orderOf, orders, title } from './plan.ts'
import { say } from './report.ts'
import { evidence, watch } from './rollout.ts'
import { jobStamp } from './stamp.ts'

const names = (all: Manifest[]) => all.map(({ kind, metadata }) => ({ kind, name: metadata.name }))
const pods = ['Deployment', 'StatefulSet', 'DaemonSet']
export const isWorkload = ({ kind }: Manifest): boolean => pods.includes(kind)

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

export interface Wait {
  place: Place
  /** The result block's WHAT. */
  what: string
  /** ms */
  since: number
  stable: number
  lock: Lock
}

/** Waits until workloads and Jobs are ready. Throws Failure (broken) with the cause and what its log shows, or (timeout). */
export async function ready({ place, what, since, stable, lock }: Wait, all: Manifest[]): Promise<void> {
  if (!all.length) return
  const timeout =
    Math.max(600, ...all.map(({ kind, spec }) => (kind === 'Job' ? (spec.activeDeadlineSeconds ?? 0) : (spec.progressDeadlineSeconds ?? 0)) as number)) * 1000
  const seen = await watch({ place, names: names(all), since, timeout, stable, lost: lock.lost })
  const list = [...seen]
  const bad = list.find(([, { state }]) => state === 'failed')
  if (bad) {
    const [name, { detail, cause }] = bad
    if (!cause) throw new Failure(exit.broken, what, `${name}: ${detail}`)
    const where = [cause.pod && `pod ${cause.pod}`, cause.container && `container ${cause.container}`].filter(Boolean).join(', ')
    const how = `${cause.reason}${cause.exitCode === undefined ? '' : `, exit ${cause.exitCode}`}${cause.message ? `: ${cause.message}` : ''}`
    const why = `${cause.kind} ${cause.name}${where ? ` (${where})` : ''}: ${how}`
    const text = [cause.likely && `likely cause: ${cause.likely}`, await evidence(cause, place)].filter(Boolean).join('\n')
    throw Object.assign(new Failure(exit.broken, what, why, { evidence: text, next: cause.next }), { cause })
  }
  const open = list.filter(([, { state }]) => state !== 'ready')
  if (open.length)
    throw new Failure(exit.timeout, what, `not ready: ${open.map(([name, { detail }]) => `${name} (${detail})`).join(', ')}`, {
      next: `${kubectlArgv(place).join(' ')} get pods`,
    })
}

/**
 * Applies a change in its order: data, migrations, applications, edge. Nothing of an order begins before the Jobs of the one before
 * have ended well. `applied` hears of every object before it is.
 */
export async function inOrder(wait: Wait, objects: Manifest[], jobs: Manifest[], applied: (all: Manifest[]) => void): Promise<void> {
  for (const order of orders) {
    const now = objects.filter(one => orderOf(one) === order)
    const gates = jobs.filter(one => orderOf(one) === order)
    if (!now.length && !gates.length) continue
    await wait.lock.phase(`apply ${order}`)
    say(`  ${order}: ${[...now, ...gates].map(title).join(', ')}`)
    applied(now)
    await put(wait.place, now)
    for (const job of gates) await start(wait, job)
    // a database that does not come up ends the wait for the Job that needs it
    if (gates.length) await ready({ ...wait, stable: 0 }, [...gates, ...objects.filter(one => isWorkload(one) && orderOf(one) === 'data')])
  }
}

const ended = ({ status }: Manifest) =>
  (status?.conditions as { type: string; status: string }[] | undefined)?.some(one => ['Complete', 'Failed'].includes(one.type) && one.status === 'True')

/** Starts a Job anew: one cannot be changed. The same one that runs already is left to run; another is waited for, not cut off. */
async function start(wait: Wait, job: Manifest): Promise<void> {
  const { place, lock } = wait
  for (;;) {
    const live = (await list(place, 'jobs')).find(one => title(one) === title(job))
    if (live && !ended(live)) {
      if (live.metadata.annotations?.[jobStamp] === job.metadata.annotations?.[jobStamp]) return
      say(`  ${title(job)} of an earlier change still runs; waiting for its end`)
      await ready({ ...wait, stable: 0 }, [live]).catch(error => {
        if (lock.lost()) throw error
      })
      continue
    }
    if (live)
      await kubectl(place, ['delete', 'job', job.metadata.name, '--ignore-not-found', '--cascade=foreground'], {
        timeout: 120_000,
        what: `Remove the finished ${title(job)}`,
      })
    return put(place, [job])
  }
}

/** Pods of a StatefulSet's broken version, which stay when it goes back (kubernetes/kubernetes#67250): they are deleted. */
export async function freeStuckPods(place: Place, sets: Manifest[]): Promise<void> {
  for (const { kind, metadata } of sets) {
    if (kind !== 'StatefulSet') continue
    const live = await takenUp(place, metadata.name)
    if (!live) continue
    const stuck = (await list(place, 'pods')).filter(pod => {
      const owned = (pod.metadata as Record<string, any>).ownerReferences?.some(
        (owner: { kind: string; name: string }) => owner.kind === 'StatefulSet' && owner.name === metadata.name,
      )
      const isReady = pod.status.conditions?.some((one: { type: string; status: string }) => one.type === 'Ready' && one.status === 'True')
      return owned && !isReady && !pod.metadata.deletionTimestamp && pod.metadata.labels?.['controller-revision-hash'] !== live.status.updateRevision
    })
    if (stuck.length)
      await kubectl(place, ['delete', 'pod', '--ignore-not-found', '--wait=false', ...stuck.map(pod => pod.metadata.name)], {
        what: `Free the pods of ${metadata.name}`,
      })
  }
}

/** A StatefulSet, once its controller knows the last change: until then it counts the broken version as the one to have. */
async function takenUp(place: Place, name: string): Promise<Manifest | undefined> {
  for (let i = 0; ; i++) {
    const [live] = await list(place, 'statefulsets', ['--field-selector', `metadata.name=${name}`])
    if (!live || i > 40 || live.status.observedGeneration >= live.metadata.generation!) return live
    await new Promise(done => setTimeout(done, 250))
  }
}
