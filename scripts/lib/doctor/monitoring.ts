// What the doctor says of the monitoring: whether it finds the logs, whether anybody would be told, and what
// backups on Kubernetes have left for it.
import type { ClusterFacts } from './cluster/cluster.ts'
import type { Stack } from '../compose/stack.ts'
import type { EngineInfo } from '../engine/engine.ts'
import { receivers } from '../monitoring/silence.ts'
import { finding, type Finding } from './finding.ts'
import { formatAge } from '../text.ts'

type MonitoredStack = Pick<Stack, 'monitored' | 'suffix'>

/** Whether logs are where the collector looks, and, of a stack with real data, whether anybody is told. */
export function judgeMonitoring(
  stack: MonitoredStack,
  values: Record<string, string>,
  { DockerRootDir }: Pick<EngineInfo, 'DockerRootDir'>,
): Finding[] {
  if (!stack.monitored) return []
  const file = `infra/monitoring/.env${stack.suffix}`
  const set = (key: string, words: string) =>
    finding('monitoring', 'warning', words, `set ${key} in ${file}, then make up`)
  const { DOCKER_ROOT: looked } = values
  return [
    ...(looked && DockerRootDir && looked !== DockerRootDir
      ? [
          set(
            `DOCKER_ROOT=${DockerRootDir}`,
            `the engine keeps its data in ${DockerRootDir}, and the collector looks for logs in ${looked}`,
          ),
        ]
      : []),
    ...(stack.suffix ? [] : judgeReceivers(values, set)),
  ]
}

function judgeReceivers(
  values: Record<string, string>,
  set: (key: string, words: string) => Finding,
): Finding[] {
  const keys = Object.values(receivers)
  return [
    ...(keys.some(key => values[key])
      ? []
      : [set(`one of ${keys.join(', ')}`, 'nobody is told of an alert')]),
    ...(values.MONITORING_WATCHDOG_URL
      ? []
      : [
          set(
            'MONITORING_WATCHDOG_URL',
            'nobody outside notices when this machine or its monitoring is down',
          ),
        ]),
  ]
}

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
