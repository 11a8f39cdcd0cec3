// Removes the backups that no rule keeps. Only good ones count, so that none of them goes for one
// that cannot be restored; each application has its newest good one for ever.
import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exit, Failure } from '../../errors.ts'
import { emit, printResult, say, table } from '../../report.ts'
import { formatAge } from '../../text.ts'
import { manifestName } from '../manifest.ts'
import { judgeBackups, type JudgedBackup } from './judge.ts'
import { selectKept, type KeepRules } from './rules.ts'

/** What happens to a backup. */
export interface PlannedRemoval {
  backup: JudgedBackup
  goes: boolean
  why: string
}

/** ms for which a backup without a manifest may be one that is being made, or looked into. */
const unfinishedMs = 24 * 3_600_000

/** What the rules do to each backup, in their order. Pure but for the clock of unfinished folders. */
export function planRemovals(
  judged: JudgedBackup[],
  rules: KeepRules,
  now = Date.now(),
): PlannedRemoval[] {
  const reasons = new Map<JudgedBackup, Set<string>>()
  const keep = (backup: JudgedBackup, why: string) =>
    reasons.set(backup, (reasons.get(backup) ?? new Set()).add(why))
  const good = judged.filter(({ state }) => state === 'good')
  for (const name of new Set(good.flatMap(({ manifest }) => manifest?.applications ?? []))) {
    // a backup of some applications takes no other's place
    const mine = good.filter(({ manifest }) => manifest?.applications.includes(name))
    const kept = selectKept(
      mine.map(({ time }) => time),
      rules,
    )
    for (const [index, backup] of mine.entries())
      for (const why of kept[index] ?? []) keep(backup, why)
    if (mine[0]) keep(mine[0], 'newest')
  }
  return judged.map(backup => {
    if (backup.state === 'doubtful')
      return { backup, goes: false, why: `not judged: ${backup.why}` }
    if (backup.state === 'unfinished') return { backup, ...judgeUnfinished(backup, good, now) }
    const why = [...(reasons.get(backup) ?? [])].join(', ')
    return { backup, goes: !why, why: why || 'no rule keeps it' }
  })
}

function judgeUnfinished({ folder, time, why }: JudgedBackup, good: JudgedBackup[], now: number) {
  const touched = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? now
  if (Math.max(time, touched) > now - unfinishedMs)
    return { goes: false, why: `${why}, and is younger than 24 hours` }
  if (!good.some(one => one.time > time))
    return { goes: false, why: `${why}, and there is no newer good one` }
  return { goes: true, why }
}

/**
 * Removes what the rules do not keep of a project's backups, `fresh` being the one that was just
 * made; `dryRun`: only says it. Throws Failure (5) where one could not be removed.
 */
export async function pruneBackups(
  to: string,
  project: string,
  rules: KeepRules,
  { dryRun = false, fresh = '' } = {},
): Promise<void> {
  const plan = planRemovals(await judgeBackups(to, project, { fresh }), rules)
  for (const { backup, goes, why } of plan) emit('kept', { name: backup.name, kept: !goes, why })
  const rows = plan.map(({ backup, goes, why }) => [
    ...[goes ? 'goes' : 'stays', backup.name, formatAge(Date.now() - backup.time), why],
  ])
  const going = plan.filter(({ goes }) => goes)
  if (!plan.length) return printResult(`There is no backup of ${project} in ${to}.`)
  say(table([['', 'backup', 'age', 'why'], ...rows]))
  const failed: string[] = []
  for (const { backup } of dryRun ? [] : going)
    await removeBackup(backup.folder).catch((error: Error) => failed.push(error.message))
  if (failed.length)
    throw new Failure(exit.rolledBack, 'Remove old backups', failed[0] ?? '', {
      evidence: failed.join('\n'),
      next: 'the same command as the owner of that folder: the other backups are as they were',
    })
  const words = dryRun ? 'to be removed' : 'removed'
  printResult(`Backups of ${project}: ${going.length} of ${plan.length} ${words}.`)
}

/** The manifest goes first: what an interruption leaves is no backup. */
async function removeBackup(folder: string): Promise<void> {
  await rm(join(folder, manifestName), { force: true })
  await rm(folder, { recursive: true, force: true })
}
