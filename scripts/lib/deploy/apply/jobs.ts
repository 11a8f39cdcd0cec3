// The Jobs of a change, and Jobs of an earlier change that block them.
import { setTimeout as sleep } from 'node:timers/promises'
import { listObjects } from '../../kubernetes/resources.ts'
import {
  isOwnerOf,
  listPodContainers,
  resourceId,
  selectKinds,
  type Manifest,
} from '../../kubernetes/objects.ts'
import { createRetryingApi, createRetryingKubectl } from '../../kubernetes/kubectl-retry.ts'
import { exit, type Failure } from '../../errors.ts'
import { waitForRollout, type RolloutOptions } from '../../rollout/wait.ts'
import { say } from '../../report.ts'
import type { FailureCause } from '../../rollout/status.ts'
import { hasJobEnded, hasJobSucceeded, isSameJob } from './checksums.ts'

/** ms between two looks at a Job that is not waited for otherwise. */
const jobPollMs = 3_000

/**
 * Makes way for Jobs: one cannot be changed. Out: those to apply. The same one that runs already is
 * left to run, or has ended well since the plan was made; another is waited for, not cut off.
 */
export async function prepareJobs(wait: RolloutOptions, jobs: Manifest[]): Promise<Manifest[]> {
  const { environment, lock } = wait
  for (let said = ''; ;) {
    const live = await listObjects(environment, ['batch/v1/jobs'], {
      ask: createRetryingApi(lock.lossFailure),
    })
    const here = (job: Manifest) => live.find(one => resourceId(one) === resourceId(job))
    const isHere = (job: Manifest, holds: (one: Manifest) => boolean) => {
      const one = here(job)
      return one !== undefined && holds(one)
    }
    const running = jobs.filter(job => isHere(job, one => !hasJobEnded(one)))
    const others = running.filter(job => isHere(job, one => !isSameJob(job, one)))
    if (others.length) {
      const words = `  ${others.map(resourceId).join(', ')} of an earlier deploy is still running; waiting for it`
      if (words !== said) say((said = words))
      await waitForJobs(wait, others)
      continue
    }
    const missing = jobs.filter(
      job => !running.includes(job) && !isHere(job, one => hasJobSucceeded(job, one)),
    )
    const old = missing.filter(here).map(({ metadata }) => metadata.name)
    // its pods may go later: those of the new one are told apart by their owner
    if (old.length) await deleteJobs(wait, old, `Remove the finished ${old.join(', ')}`)
    return missing
  }
}

const deleteJobs = ({ environment, lock }: RolloutOptions, names: string[], what: string) =>
  createRetryingKubectl(lock.lossFailure)(
    environment,
    ['delete', 'job', ...names, '--ignore-not-found'],
    {
      timeout: 120_000,
      what,
    },
  )

/**
 * Waits for the end of Jobs, or a moment. One that hangs and has not begun is removed: what keeps
 * it from beginning may never be repaired.
 */
async function waitForJobs(wait: RolloutOptions, jobs: Manifest[]): Promise<void> {
  const { environment, lock } = wait
  const failure = await waitForRollout({ ...wait, since: Date.now(), stableMs: 0 }, jobs).then(
    () => undefined,
    (error: Failure & { cause?: FailureCause }) => error,
  )
  if (lock.lossFailure()) throw lock.lossFailure()
  if (!failure) return
  if (![exit.broken, exit.timeout].some(code => code === failure.code)) throw failure
  const all = await listObjects(environment, ['batch/v1/jobs', 'v1/pods'], {
    ask: createRetryingApi(lock.lossFailure),
  })
  const hung = all.find(
    ({ kind, metadata }) => kind === 'Job' && metadata.name === failure.cause?.name,
  )
  if (!hung || hasJobEnded(hung) || hasJobStarted(hung, all)) return sleep(jobPollMs)
  say(`  removed: ${resourceId(hung)} of an earlier deploy, which never started: ${failure.why}`)
  await deleteJobs(wait, [hung.metadata.name], `Remove ${hung.metadata.name}`)
}

/**
 * Whether a Job has begun its work, or may be at it. What ran before that and ended well (it has
 * waited for a database) is not the work.
 */
function hasJobStarted(job: Manifest, all: Manifest[]): boolean {
  const pods = selectKinds(all, 'Pod').filter(one => isOwnerOf(job, one))
  const worked = pods
    .flatMap(listPodContainers)
    .some(({ init, status: { state = {}, lastState = {} } }) => {
      const end = state.terminated ?? lastState.terminated
      return state.running || (end && !(init && end.exitCode === 0))
    })
  return Boolean(job.status?.failed || job.status?.succeeded || worked)
}
