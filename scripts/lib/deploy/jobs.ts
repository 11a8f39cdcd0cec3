// The Jobs of a change, and those of an earlier one that are in their way.
import { list, type Manifest } from '../cluster/cluster.ts'
import { retried } from '../cluster/retried.ts'
import { exit, type Failure } from '../errors.ts'
import { title } from './manifests.ts'
import { ready, type Wait } from './readiness.ts'
import { say } from '../report.ts'
import type { Cause } from '../rollout/judge.ts'
import { containersOf } from '../rollout/objects.ts'
import { owns } from '../rollout/owners.ts'
import { hasEnded, hasRun, isSame } from './stamp.ts'

/** ms between two looks at a Job that is not waited for otherwise. */
const pause = 3_000

/**
 * Makes way for Jobs: one cannot be changed. Out: those to apply. The same one that runs already is left to run, or has ended well since the plan
 * was made; another is waited for, not cut off.
 */
export async function due(wait: Wait, jobs: Manifest[]): Promise<Manifest[]> {
  const { place, lock } = wait
  for (let said = ''; ;) {
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
    const missing = jobs.filter(
      job => !running.includes(job) && !(here(job) && hasRun(job, here(job)!)),
    )
    const old = missing.filter(here).map(({ metadata }) => metadata.name)
    // its pods may go later: those of the new one are told apart by their owner
    if (old.length) await drop(wait, old, `Remove the finished ${old.join(', ')}`)
    return missing
  }
}

const drop = ({ place, lock }: Wait, names: string[], what: string) =>
  retried(lock.lost)(place, ['delete', 'job', ...names, '--ignore-not-found'], {
    timeout: 120_000,
    what,
  })

/** Waits for the end of Jobs, or a moment. One that hangs and has not begun is removed: what keeps it from beginning may never be mended. */
async function letEnd(wait: Wait, jobs: Manifest[]): Promise<void> {
  const { place, lock } = wait
  const failure = await ready({ ...wait, since: Date.now(), stable: 0 }, jobs).then(
    () => undefined,
    (error: Failure & { cause?: Cause }) => error,
  )
  if (lock.lost()) throw lock.lost()
  if (!failure) return
  if (![exit.broken, exit.timeout].some(code => code === failure.code)) throw failure
  const all = await list(place, 'jobs,pods', [], retried(lock.lost))
  const hung = all.find(
    ({ kind, metadata }) => kind === 'Job' && metadata.name === failure.cause?.name,
  )
  if (!hung || hasEnded(hung) || begun(hung, all))
    return void (await new Promise(done => setTimeout(done, pause)))
  say(`  removed: ${title(hung)} of an earlier change, of which nothing has run: ${failure.why}`)
  await drop(wait, [hung.metadata.name], `Remove ${hung.metadata.name}`)
}

/** Whether a Job has begun its work, or may be at it. What ran before that and ended well (it has waited for a database) is not the work. */
function begun(job: Manifest, all: Manifest[]): boolean {
  const pods = all.filter(one => one.kind === 'Pod' && owns(job, one))
  const worked = pods
    .flatMap(containersOf)
    .some(({ init, status: { state = {}, lastState = {} } }) => {
      const end = state.terminated ?? lastState.terminated
      return state.running || (end && !(init && end.exitCode === 0))
    })
  return Boolean(job.status?.failed || job.status?.succeeded || worked)
}
