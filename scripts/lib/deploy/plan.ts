// What a change will do.
import type { ChangePlan, DeployRequest } from './change.ts'
import type { BackupPlanner, PlannedBackup } from './backup/step.ts'
import type { PreflightResult } from './preflight.ts'
import { resourceId, type Manifest } from '../kubernetes/objects.ts'
import { Failure, exit } from '../errors.ts'
import { findOrphans, pruneLimit } from './apply/order.ts'
import {
  listReleaseObjects,
  findCurrentRelease,
  type StoredRelease,
} from '../kubernetes/releases.ts'
import { emit, say } from '../report.ts'
import { findMigrations, type Migration } from './backup/migrations.ts'
import { listWorkloadDigests, hasJobSucceeded, isSameJob } from './apply/checksums.ts'

/**
 * Says what will be created, changed and removed. Throws Failure (refused) when more would be
 * removed than is usual.
 */
export async function planChange(
  { prune, source, verb, target, backups }: DeployRequest,
  facts: PreflightResult,
): Promise<ChangePlan> {
  const { manifests, history, changes, live } = facts
  const good = findCurrentRelease(history)
  const since = good ? history.indexOf(good) + 1 : history.length
  // Deployments and StatefulSets name what has been applied last, and their ReplicaSets and
  // ControllerRevisions what may come back
  const holders = live.filter(({ kind }) => /^(ReplicaSet|ControllerRevision|Pod|Job)$/.test(kind))
  const { removed, generated } = findOrphans(
    manifests,
    history.slice(0, since).map(listReleaseObjects),
    history.slice(since).map(listReleaseObjects),
    holders,
  )
  const there = new Set(live.map(resourceId))
  const plan: ChangePlan = {
    ...changes,
    removed: removed.filter(one => there.has(resourceId(one))),
    generated: generated.filter(one => there.has(resourceId(one))),
    // migrations cannot be undone: a release that is restored runs none
    jobs:
      'release' in source
        ? []
        : manifests.filter(({ kind }) => kind === 'Job').filter(job => mustRunJob(job, live, good)),
  }
  const lines = {
    created: plan.created,
    changed: plan.changed,
    runs: plan.jobs.map(resourceId),
    removed: plan.removed.map(resourceId),
  }
  for (const [word, titles] of Object.entries(lines))
    if (titles.length) say(`  ${word}: ${titles.join(', ')}`)
  if (!Object.values(lines).some(titles => titles.length)) say('  nothing changes')
  const { words: schemas, migrations } =
    'release' in source ? { words: [], migrations: [] } : await findMigrations(target, facts, plan)
  for (const words of schemas) say(`  ${words}`)
  const [images, served] = [manifests, good?.manifests ?? []].map(listWorkloadDigests)
  emit('plan', {
    ...lines,
    schemas,
    images,
    coming: (images ?? []).filter(image => !served?.includes(image)),
  })
  if (plan.removed.length > pruneLimit && !prune)
    throw new Failure(
      exit.refused,
      `Plan the ${verb}`,
      `${plan.removed.length} objects would be removed: ${lines.removed.join(', ')}; nothing was touched`,
      { next: 'the same command with --prune, if you want that' },
    )
  return { ...plan, backup: await planBackup(backups, migrations, facts) }
}

/** Says how the data is saved that will be migrated. */
async function planBackup(
  backups: BackupPlanner | undefined,
  migrations: Migration[],
  facts: PreflightResult,
): Promise<PlannedBackup | undefined> {
  const planned = migrations.length ? await backups?.plan(migrations, facts) : undefined
  if (!planned) return undefined
  const { words, applications, off } = planned
  for (const one of words) say(`  ${one}`)
  emit('backup', { state: off === undefined ? 'planned' : 'off', applications, reason: off })
  return planned
}

/** A migration runs unless the same one is known to have ended well. */
function mustRunJob(job: Manifest, live: Manifest[], good: StoredRelease | undefined): boolean {
  const named = (all: Manifest[] = []) => all.find(one => resourceId(one) === resourceId(job))
  const [here, before] = [named(live), named(good?.manifests)]
  return here ? !hasJobSucceeded(job, here) : !(before && isSameJob(job, before))
}
