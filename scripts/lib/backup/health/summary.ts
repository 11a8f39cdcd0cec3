// How well a project's backups serve: how old they are, how fast they come back, how much would be
// lost. Pure.
import type { BackupManifest } from '../manifest.ts'
import type { JudgedBackup } from '../retention/judge.ts'
import type { BackupRecord } from './record.ts'
import { formatDuration } from '../../report.ts'
import { formatAge } from '../../text.ts'

/** Times in ms of this machine's clock. */
export interface BackupSummary {
  project: string
  /** The newest good backup. */
  newest?: BackupManifest
  lastProven?: number
  /** The longest time from one good backup to the next, or till now: what may be lost. */
  longestGapMs?: number
  /** What a restore took: a real one, or else the restore of its databases that proved the newest. */
  backMs?: number
  restored?: number
  /** When somebody showed that they can open what is encrypted now; of what is not encrypted nothing. */
  keyProven?: number
  encrypted: boolean
  lastTry?: { at: number; ms: number; why?: string }
  /** Where copies go, and whether the newest good backup has one. */
  copies?: { to: string; hasNewest: boolean }
  /** By application of the stack, when its newest good backup was made; 0: it has none any more. */
  applications: Record<string, number>
}

/** ms: gaps of an older time say nothing of today's schedule. */
const gapWindowMs = 30 * 86_400_000

export function summarizeBackups(
  project: string,
  judged: JudgedBackup[],
  record: BackupRecord,
  now = Date.now(),
): BackupSummary {
  const good = judged.flatMap(({ state, manifest, time }) =>
    state === 'good' && manifest ? [{ manifest, time }] : [],
  )
  const names = record.applications ?? good.flatMap(({ manifest }) => manifest.applications)
  const newestOf = (name: string) =>
    good.find(({ manifest }) => manifest.applications.includes(name))?.time
  const [newest] = good
  const { keyProven, restored, lastTry, copied } = record
  const recipients = newest?.manifest.recipients ?? []
  const isSameKey =
    keyProven && [...keyProven.recipients].sort().join() === [...recipients].sort().join()
  return {
    project,
    encrypted: recipients.length > 0,
    applications: Object.fromEntries(
      [...new Set(names)].sort().map(name => [name, newestOf(name) ?? 0]),
    ),
    ...(newest && {
      newest: newest.manifest,
      lastProven: newest.time,
      longestGapMs: findLongestGap(
        good.map(({ time }) => time),
        now,
      ),
      backMs: restored?.ms ?? sumProof(newest.manifest),
    }),
    ...(restored && { restored: Date.parse(restored.at) }),
    ...(copied && {
      copies: { to: copied.to, hasNewest: copied.backup === newest?.manifest.name },
    }),
    ...(isSameKey && { keyProven: Date.parse(keyProven.at) }),
    ...(lastTry && { lastTry: { ...lastTry, at: Date.parse(lastTry.at) } }),
  }
}

/** ms that the restores took which proved a backup's databases. */
export const sumProof = ({ databases }: BackupManifest): number =>
  databases.reduce((sum, { provenMs }) => sum + provenMs, 0)

/** Bytes of a backup's files. */
export const sumStored = ({ files }: BackupManifest): number =>
  files.reduce((sum, { stored }) => sum + stored.bytes, 0)

/** The times are the newest first. */
function findLongestGap(times: number[], now: number): number {
  const recent = times.filter(
    (time, index) => (times[index - 1] ?? time) > now - gapWindowMs || index === 0,
  )
  return Math.max(...recent.map((time, index) => (recent[index - 1] ?? now) - time))
}

/** A time of this machine as people say it: `2026-11-29 03:12`. */
const formatTime = (ms: number): string => {
  const at = new Date(ms)
  const two = (number: number) => String(number).padStart(2, '0')
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('-')
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}`
}

/** The summary of the backups in a folder in a sentence or two. */
export function describeSummary(summary: BackupSummary, to: string, now = Date.now()): string {
  const { project, lastProven, longestGapMs, backMs, restored, lastTry } = summary
  const why = lastTry?.why
  const failed =
    why === undefined ? '' : ` The last try, ${formatTime(lastTry!.at)}, failed: ${why}`
  if (lastProven === undefined || backMs === undefined || longestGapMs === undefined)
    return `${project}: no good backup.${failed}`
  const back = restored
    ? `back in ${formatDuration(backMs)} (restored ${formatTime(restored)})`
    : `its databases back in ${formatDuration(backMs)}`
  return `${project}: last proven ${formatTime(lastProven)}, ${back}, at most ${formatAge(longestGapMs)} lost. ${describeKey(summary, to, now)}${describeCopies(summary)}${failed}`
}

function describeKey(
  { encrypted, keyProven, newest }: BackupSummary,
  to: string,
  now: number,
): string {
  if (!encrypted) return 'It is not encrypted.'
  if (keyProven === undefined)
    return `Nobody has shown yet that they can open it (npx zx scripts/backup.ts prove-key ${nameStack(newest!)} --to ${to}).`
  return `The key was last proven ${formatAge(now - keyProven)} ago.`
}

/** The words by which commands know the stack of a backup; dev and prod are one. */
const nameStack = ({ suffix, engine }: BackupManifest): string =>
  `${suffix.slice(1) || 'prod'}${engine === 'kubernetes' ? ' --target kubernetes' : ''}`

function describeCopies({ copies }: BackupSummary): string {
  if (!copies) return ''
  return ` ${copies.hasNewest ? 'A copy is in' : 'No copy is in'} ${copies.to}.`
}
