// What the doctor says of an environment's backups: what they themselves have left for Prometheus
// (scripts/lib/backup/kubernetes/metrics.ts). Pure.
import type { ClusterFacts } from './cluster.ts'
import { finding, type Finding } from './finding.ts'
import { formatAge } from '../text.ts'

/** ms after which a daily backup is missed. */
const lateMs = 30 * 3_600_000

/** The values of a metric in Prometheus's format, each with the text of its labels. */
const readMetric = (text: string, name: string): [labels: string, value: number][] =>
  [...text.matchAll(new RegExp(`^kgc_backup_${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))].map(
    ([, labels = '', value]) => [labels, Number(value)],
  )

/** Whether there is a new backup of each application; nothing of an environment without people's data. */
export function judgeEnvironmentBackups(
  { environment: { name, disposable }, backupMetrics }: ClusterFacts,
  now = Date.now(),
): Finding[] {
  if (disposable || !backupMetrics) return []
  const next = `npx zx scripts/backup.ts ${name} --to FOLDER`
  const [found] = backupMetrics
  if (!found)
    return [finding('backups', 'info', `none of ${name} is known: docs/backup.md, Every night`)]
  const text = Object.values((found.data ?? {}) as Record<string, string>).join('')
  const late = readMetric(text, 'last_success_timestamp_seconds').flatMap(([labels, seconds]) => {
    const age = now - seconds * 1000
    const application = /application="([^"]*)"/.exec(labels)?.[1] ?? ''
    if (age <= lateMs) return []
    const what = seconds ? `the newest good one is ${formatAge(age)} old` : 'there is no good one'
    return [finding('backups', 'warning', `${application}: ${what}`, next)]
  })
  const failed = readMetric(text, 'last_try_succeeded').some(([, value]) => value === 0)
  return [
    ...late,
    ...(failed ? [finding('backups', 'warning', 'the last try made no good one', next)] : []),
  ]
}
