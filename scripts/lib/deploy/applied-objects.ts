// Which version of each object is in the environment during a change or after a failed one,
// computed from what was done.
import type { ApplyListener } from './apply/apply.ts'
import type { Change, AppliedVersion } from './change.ts'
import { resourceId } from '../kubernetes/objects.ts'
import { findCurrentRelease } from '../kubernetes/releases.ts'

/** Remembers what was applied of the new release. */
export const trackApplied =
  ({ appliedObjects, versions }: Change): ApplyListener =>
  (one, how) => {
    if (how === 'not') return
    if (one.kind !== 'Job') appliedObjects.push(one)
    versions.set(resourceId(one), how === 'done' ? 'new' : 'unknown')
  }

/** Remembers what was restored, or removed because the release before has not got it. */
export const trackRestored =
  ({ versions }: Change): ApplyListener =>
  (one, how) => {
    if (how !== 'not') versions.set(resourceId(one), how === 'done' ? 'old' : 'unknown')
  }

const isJobId = (name: string) => name.startsWith('Job ')
const summarizeNames = (names: string[]) =>
  `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
const listIdsByVersion = ({ versions }: Pick<Change, 'versions'>, how: AppliedVersion) =>
  [...versions].filter(([name, one]) => one === how && !isJobId(name)).map(([name]) => name)

/** Whether nothing but Jobs is of the new release, or may be. */
export const isFullyRestored = (change: Pick<Change, 'versions'>): boolean =>
  !listIdsByVersion(change, 'new').length && !listIdsByVersion(change, 'unknown').length
/** Whether something has gone back. */
export const hasRestoreStarted = (change: Pick<Change, 'versions'>): boolean =>
  listIdsByVersion(change, 'old').length > 0

/** Which release's objects are in place. */
export function describeLiveObjects(
  change: Pick<Change, 'versions' | 'facts' | 'release'>,
): string {
  const [fresh, unknown] = [listIdsByVersion(change, 'new'), listIdsByVersion(change, 'unknown')]
  const good = findCurrentRelease(change.facts.history)
  const [before, now] = [
    good ? `release ${good.number}` : 'what was there before',
    `release ${change.release.number}`,
  ]
  if (isFullyRestored(change)) return `the objects of ${before} are in place`
  const parts = [
    fresh.length && `${summarizeNames(fresh)} of ${now}`,
    unknown.length && `${summarizeNames(unknown)} of ${now} or of ${before}`,
  ].filter(Boolean)
  return `in place: ${parts.join('; ')}; all else of ${before}`
}

/** What does not go back: the Jobs that were begun. Where the data from before was saved it says by what. */
export function describeLastingJobs({
  versions,
  release,
}: Pick<Change, 'versions'> & { release?: Pick<Change['release'], 'backup'> }): string {
  const jobs = [...versions.keys()].filter(isJobId)
  const { backup } = release ?? {}
  const saved = backup && 'name' in backup ? `, and ${backup.name} has the data from before` : ''
  return jobs.length ? `; what ${jobs.join(', ')} has done to its database stays${saved}` : ''
}
