// The phase of a rollback that looks at the databases' migrations.
import type { Change } from './change.ts'
import { Failure, exit } from '../errors.ts'
import { heads } from './product.ts'
import { say } from '../report.ts'

/** Refuses to go back over migrations that have run since, unless that is accepted. */
export async function requireSchema({ place, found, choose }: Change, accept: boolean): Promise<void> {
  const target = choose(found!.history)!
  const now = await heads(place, found!.manifests)
  const moved = Object.entries(target.heads ?? {}).filter(([folder, head]) => now[folder] !== head)
  const words = moved.map(([folder, head]) => `${folder}: ${head} then, ${now[folder] ?? 'it cannot be asked'} now`)
  for (const one of words) say(`  migrated since: ${one}`)
  if (moved.length && !accept)
    throw new Failure(
      exit.refused,
      `Roll back ${place.name} to release ${target.number}`,
      `its databases have been migrated since, as far as they can be asked: ${words.join('; ')}; nothing was touched`,
      {
        next: 'restore a backup of that release, or the same command with --accept-schema, if the old version works with the new schema',
      },
    )
}
