// What Prometheus is told of backups. Each try writes it again from what lies in the folder, so that a
// failure is seen and an old success stays old.
import { warned } from '../../monitoring/restarts.ts'
import { judgeBackups } from '../retention/judge.ts'
import { readRecord, type BackupFolder, type BackupTry } from './record.ts'
import { summarizeBackups, sumProof, sumStored, type BackupSummary } from './summary.ts'

const seconds = (ms: number): number => Math.floor(ms / 1000)

type Value = [labels: string, value: number]

/** A metric's lines; none where it has no value. */
function gauge(name: string, help: string, values: Value[]): string {
  if (!values.length) return ''
  const lines = values.map(([labels, value]) => `kgc_backup_${name}${labels} ${value}\n`)
  return `# HELP kgc_backup_${name} ${help}\n# TYPE kgc_backup_${name} gauge\n${lines.join('')}`
}

const only = (value: number | undefined): Value[] => (value === undefined ? [] : [['', value]])

/** The text of the metrics, in Prometheus's format. */
export function formatMetrics(summary: BackupSummary): string {
  const { applications, newest, keyProven, encrypted, lastTry } = summary
  return [
    gauge(
      'last_success_timestamp_seconds',
      'When the newest good backup of an application was made: whole, and proven by a restore.',
      Object.entries(applications).map(([name, time]) => [
        `{application="${name}"}`,
        seconds(time),
      ]),
    ),
    gauge(
      'last_try_timestamp_seconds',
      'When the last try ended.',
      only(lastTry && seconds(lastTry.at)),
    ),
    gauge(
      'last_try_succeeded',
      'Whether the last try made a good backup.',
      only(lastTry && (lastTry.why === undefined ? 1 : 0)),
    ),
    gauge(
      'last_try_duration_seconds',
      'How long the last try took.',
      only(lastTry && lastTry.ms / 1000),
    ),
    gauge('size_bytes', 'The size of the newest good backup.', only(newest && sumStored(newest))),
    gauge(
      'proven_restore_duration_seconds',
      'How long the restore of its databases took that proved the newest good backup.',
      only(newest && sumProof(newest) / 1000),
    ),
    gauge(
      'key_proven_timestamp_seconds',
      'When somebody last showed that they can open the backups; 0: never.',
      only(encrypted ? seconds(keyProven ?? 0) : undefined),
    ),
  ].join('')
}

/**
 * The metrics of a project's backups, `fresh` being the one that was just made. `lastTry` is known
 * where the folder is away, too: a disk that is gone must not leave the good news of yesterday.
 */
export async function measureHealth(
  { project, to }: Pick<BackupFolder, 'project' | 'to'>,
  fresh = '',
  lastTry?: BackupTry,
): Promise<string> {
  const judged = await judgeBackups(to, project, { fresh }).catch(() => [])
  const record = { ...readRecord(to, project), ...(lastTry && { lastTry }) }
  return formatMetrics(summarizeBackups(project, judged, record))
}

/** Tells the stack's own monitoring how its backups are; nothing where it has none. */
export async function reportHealth(
  place: BackupFolder,
  fresh?: string,
  lastTry?: BackupTry,
): Promise<void> {
  const { writeMetrics } = place
  if (!writeMetrics) return
  await warned('Nobody will notice when backups stop', async () =>
    writeMetrics(await measureHealth(place, fresh, lastTry)),
  )
}
