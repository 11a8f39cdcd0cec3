// How a change begins: it is confirmed, takes the lock, is recorded, and people are told.
import { Failure, exit } from '../errors.ts'
import { resourceId } from '../kubernetes/objects.ts'
import type { ReleaseEnding, StoredRelease } from '../kubernetes/releases.ts'
import { askQuestion, confirmByName } from '../prompt.ts'
import { say } from '../report.ts'
import { readActor, workflowRunUrl } from './actor.ts'
import { listWorkloadImages } from './apply/checksums.ts'
import { isNoChange, type Change, type ChangePlan, type DeployRequest } from './change.ts'
import { notifyChange } from './notifications.ts'
import type { PreflightResult } from './preflight.ts'

/**
 * Asks what the pre-flight could not tell, and where the environment wants to be asked for. Throws
 * Failure (refused) when it is not confirmed.
 */
export async function confirmChange(
  { environment, yes, verb }: DeployRequest,
  { questions }: PreflightResult,
): Promise<void> {
  const what = `Begin the ${verb} to ${environment.name}`
  for (const words of questions)
    if ((await askQuestion(`${words}. Type yes to continue: `)) !== 'yes')
      throw new Failure(exit.refused, what, `${words}; not confirmed; nothing was touched`)
  if (environment.protected && !yes)
    await confirmByName(what, environment.name, `${environment.name} is protected`)
}

/** Takes the lock for a change that is confirmed; nothing is written yet. */
export async function lockEnvironment(
  request: DeployRequest,
  facts: PreflightResult,
  plan: ChangePlan,
  started: number,
): Promise<Change> {
  await confirmChange(request, facts)
  const lock = await request.target.lock(request.verb, facts.leaseVersion)
  return {
    ...request,
    started,
    facts,
    plan,
    lock,
    release: createRelease(request, facts, plan, started),
    appliedObjects: [],
    versions: new Map(),
    rotation: { changed: [], late: [] },
    prunedIds: new Set(),
    reached: 'locked',
    step: 'Lock',
  }
}

/** The release that a change makes, as it is recorded while it is at work. */
function createRelease(
  { source, chooseRelease }: DeployRequest,
  { history, manifests, digests, commit }: PreflightResult,
  plan: ChangePlan,
  started: number,
): StoredRelease {
  const target = 'release' in source ? chooseRelease(history) : undefined
  return {
    number: (history[0]?.number ?? 0) + 1,
    ending: 'applying',
    what: target ? `rollback to ${target.number}` : 'deploy',
    who: readActor(),
    run: workflowRunUrl(),
    again: 'release' in source ? undefined : source.again,
    commit: 'release' in source ? target?.commit : commit,
    started: new Date(started).toISOString(),
    images: Object.fromEntries(
      listWorkloadImages(manifests).map(image => {
        const [name = image, digest] = image.split('@')
        return [name, digest ?? digests.get(image) ?? '']
      }),
    ),
    created: [...plan.created, ...plan.jobs.map(resourceId)],
    ...(plan.backup?.off === undefined ? {} : { backup: { off: plan.backup.off } }),
    manifests,
  }
}

/** Records what is about to be done, and tells people. */
export async function recordStart(change: Change): Promise<void> {
  const { target, lock, facts, release } = change
  for (const one of facts.history.filter(({ ending }) => ending === 'applying')) {
    say(
      `  release ${one.number} of ${one.who} never said how it ended: it is recorded as interrupted, and what it left half done is applied again`,
    )
    await target.releases.store(
      Object.assign(one, { ending: 'interrupted' satisfies ReleaseEnding }),
      'replace',
      lock.lossFailure,
    )
  }
  if (!isNoChange(change)) {
    await target.releases.store(release, 'create', lock.lossFailure)
    await notifyChange(change, 'started')
  }
  change.reached = 'recorded'
}
