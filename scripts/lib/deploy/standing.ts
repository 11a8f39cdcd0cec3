// What stands in an environment while a change is under way or has come to no good end, computed from what was done.
import type { Hears } from './apply.ts'
import type { Change, Stand } from './change.ts'
import { title } from './manifests.ts'
import { serving } from './release.ts'

/** Remembers what was applied of the new release. */
export const goesForward =
  ({ touched, stands }: Change): Hears =>
  (one, how) => {
    if (how === 'not') return
    if (one.kind !== 'Job') touched.push(one)
    stands.set(title(one), how === 'done' ? 'new' : 'unknown')
  }

/** Remembers what was put back, or removed because the release before has not got it. */
export const goesBack =
  ({ stands }: Change): Hears =>
  (one, how) => {
    if (how !== 'not') stands.set(title(one), how === 'done' ? 'old' : 'unknown')
  }

const isJob = (name: string) => name.startsWith('Job ')
const some = (names: string[]) =>
  `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
const of = ({ stands }: Pick<Change, 'stands'>, how: Stand) =>
  [...stands].filter(([name, one]) => one === how && !isJob(name)).map(([name]) => name)

/** Whether nothing but Jobs is of the new release, or may be. */
export const isBack = (change: Pick<Change, 'stands'>): boolean =>
  !of(change, 'new').length && !of(change, 'unknown').length
/** Whether something has gone back. */
export const isBegun = (change: Pick<Change, 'stands'>): boolean => of(change, 'old').length > 0

/** Which release's objects are in place. */
export function inPlace(change: Pick<Change, 'stands' | 'found' | 'release'>): string {
  const [fresh, unknown] = [of(change, 'new'), of(change, 'unknown')]
  const good = serving(change.found!.history)
  const [before, now] = [
    good ? `release ${good.number}` : 'what was there before',
    `release ${change.release!.number}`,
  ]
  if (isBack(change)) return `the objects of ${before} are in place`
  const parts = [
    fresh.length && `${some(fresh)} of ${now}`,
    unknown.length && `${some(unknown)} of ${now} or of ${before}`,
  ].filter(Boolean)
  return `in place: ${parts.join('; ')}; all else of ${before}`
}

/** What does not go back: the Jobs that were begun. */
export function lasting({ stands }: Pick<Change, 'stands'>): string {
  const jobs = [...stands.keys()].filter(isJob)
  return jobs.length ? `; what ${jobs.join(', ')} has done to its database stays` : ''
}
