// The step of a deploy that saves data before it is migrated. What takes the backup is brought by the
// command: the steps know it by this interface alone.
import { exit, Failure } from '../../errors.ts'
import type { ReleaseBackup } from '../../kubernetes/releases.ts'
import { emit, say } from '../../report.ts'
import type { Change } from '../change.ts'
import type { Lock } from '../lock/lock.ts'
import { notifyRefused } from '../notifications.ts'
import type { PreflightResult } from '../preflight.ts'
import type { Migration } from './migrations.ts'

/** How the data of applications is saved before a change migrates it. */
export interface PlannedBackup {
  applications: string[]
  /** For people. */
  words: string[]
  /** Why nothing is saved; else `take` says by what it is. */
  off?: string
  /** Takes a proven backup while the change holds the lock, or has one already. */
  take?: (lock: Lock) => Promise<ReleaseBackup>
}

export interface BackupPlanner {
  /**
   * Touches nothing; undefined where there is no data yet. Throws Failure (refused) where it could not be
   * saved.
   */
  plan: (
    migrations: Migration[],
    facts: Pick<PreflightResult, 'live' | 'manifests' | 'history'>,
  ) => Promise<PlannedBackup | undefined>
}

/** The title of what is done for these applications. */
export const saveTitle = (applications: string[]): string =>
  `Save the data of ${applications.join(', ')} before it is migrated`

/**
 * Saves the data that a change migrates; its release will name the backup. Throws Failure (refused) with
 * the cause when that fails: nothing was changed by then.
 */
export async function backUpChange(change: Change): Promise<void> {
  const { lock, plan, release, started } = change
  const { applications, take } = plan.backup ?? {}
  if (!applications || !take) return
  try {
    release.backup = await take(lock)
  } catch (error) {
    const failure = lock.lossFailure() ?? refuse(applications, error)
    await notifyRefused(change, failure, started)
    throw failure
  }
  const { name, created } = release.backup
  emit('backup', { state: 'taken', ...release.backup })
  say(
    `  ${name}, of ${created.slice(0, 16).replace('T', ' ')} UTC: release ${release.number} names it`,
  )
}

function refuse(applications: string[], error: unknown): Error {
  if (!(error instanceof Failure)) return error as Error
  const { code, what, why, evidence, next } = error
  return new Failure(
    code === exit.locked ? code : exit.refused,
    saveTitle(applications),
    `${what}: ${why}; nothing was touched`,
    { evidence, next },
  )
}

/** What a release says of its backup, for people; '' where none was due. */
export function describeReleaseBackup(backup: Change['release']['backup']): string {
  if (!backup) return ''
  return 'off' in backup
    ? `none: ${backup.off}`
    : `${backup.name} (${backup.applications.join(', ')})`
}
