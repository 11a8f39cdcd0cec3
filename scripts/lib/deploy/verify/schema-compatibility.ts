// Whether databases have been migrated since the release that a rollback goes to.
import type { DeployRequest } from '../change.ts'
import type { PreflightResult } from '../preflight.ts'
import { Failure, exit } from '../../errors.ts'
import {
  fetchSchemaVersions,
  unknownSchemaVersion,
  type SchemaVersions,
} from './schema-versions.ts'
import { say } from '../../report.ts'
import { describePlace, describeRestoreCommand, findBackupOffers } from '../backup/offer.ts'

/** The applications whose databases have been migrated since; what is not known of one may be that, too. Pure. */
const listMigrated = (then: SchemaVersions = {}, now: SchemaVersions = {}): string[] =>
  [...new Set([...Object.keys(then), ...Object.keys(now)])].filter(
    folder => then[folder] === unknownSchemaVersion || then[folder] !== now[folder],
  )

/** The same in words. */
export function describeMigratedSchemas(
  then: SchemaVersions = {},
  now: SchemaVersions = {},
): string[] {
  const was = (head = 'none is recorded') =>
    head === unknownSchemaVersion ? 'it could not be asked' : head
  const is = (head = 'it is not there') =>
    head === unknownSchemaVersion ? 'it cannot be asked' : head
  return listMigrated(then, now).map(
    folder => `${folder}: ${was(then[folder])} then, ${is(now[folder])} now`,
  )
}

/** Refuses to go back over migrations that have run since, unless that is accepted. */
export async function requireCompatibleSchema(
  {
    environment,
    target,
    chooseRelease,
  }: Pick<DeployRequest, 'environment' | 'target' | 'chooseRelease'>,
  { history, manifests }: Pick<PreflightResult, 'history' | 'manifests'>,
  accept: boolean,
): Promise<void> {
  const release = chooseRelease(history)
  if (!release) return
  const now = await fetchSchemaVersions(target, manifests)
  const words = describeMigratedSchemas(release.heads, now)
  for (const one of words) say(`  migrated since: ${one}`)
  const offers = findBackupOffers(history, release, listMigrated(release.heads, now))
  const saved = offers.map(
    ({ backup, applications }) =>
      `${applications.join(', ')} as of ${backup.created}: ${backup.name}, ${describePlace(backup)}`,
  )
  for (const one of saved) say(`  the data from before: ${one}`)
  if (!words.length || accept) return
  const restore = offers.length
    ? `${offers.map(one => describeRestoreCommand(environment, one, release)).join(' && ')}, which loses what was written since, then the same command again;`
    : 'restore a backup of that release,'
  throw new Failure(
    exit.refused,
    `Roll back ${environment.name} to release ${release.number}`,
    `its databases have been migrated since, or could not be asked: ${words.join('; ')}; nothing was touched`,
    {
      ...(saved.length ? { evidence: saved.join('\n') } : {}),
      next: `${restore} or the same command with --accept-schema, if the old version works with the new schema`,
    },
  )
}
