// How the monitoring of a stack is: what it measures, judges and tells, and whose log it has.
import { readComposeConfig, type Stack } from '../compose/stack.ts'
import { openMonitoring, type Monitoring } from './ask.ts'
import { countProbes, judgeTargets, readTargets, type Target } from './targets.ts'

/** An alert as Alertmanager has it. */
export interface Alert {
  name: string
  application: string
  severity: string
  summary: string
  since: string
  /** active; or suppressed, by a silence or by what causes it. */
  state: string
}

export interface LogLine {
  service: string
  /** When its last line of the last 24 hours was written, ms of the clock; undefined for none. */
  at: number | undefined
}

export interface MonitoringStatus {
  targets: Target[]
  rules: { count: number; failing: string[] }
  /** Whether the alert that always fires has reached Alertmanager. */
  watchdog: boolean
  alerts: Alert[]
  logs: LogLine[]
}

/** Asks all of it. Throws Failure (refused) where no monitoring runs. */
export async function readStatus(stack: Stack): Promise<MonitoringStatus> {
  const [all, monitoring] = await Promise.all([readComposeConfig(stack), openMonitoring(stack)])
  const [seen, rules, told, logs] = await Promise.all([
    readTargets(monitoring),
    readRules(monitoring),
    readAlerts(monitoring),
    readLastLines(monitoring, Object.keys(all.services).sort()),
  ])
  return {
    targets: judgeTargets(all, countProbes(), seen),
    rules,
    watchdog: told.some(({ name }) => name === 'Watchdog'),
    alerts: told.filter(({ name }) => name !== 'Watchdog'),
    logs,
  }
}

interface RulesAnswer {
  data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] }
}

async function readRules({ askJson }: Monitoring): Promise<MonitoringStatus['rules']> {
  const { data } = await askJson<RulesAnswer>('prometheus', '/api/v1/rules')
  const all = data.groups.flatMap(({ rules }) => rules)
  const failing = all.filter(({ health }) => health === 'err')
  return {
    count: all.length,
    failing: failing.map(({ name, lastError = '' }) => `${name}: ${lastError}`),
  }
}

interface AlertAnswer {
  labels: Record<string, string>
  annotations: Record<string, string>
  startsAt: string
  status: { state: string }
}

async function readAlerts({ askJson }: Monitoring): Promise<Alert[]> {
  const all = await askJson<AlertAnswer[]>('alertmanager', '/api/v2/alerts?active=true')
  return all.map(({ labels, annotations, startsAt, status }) => ({
    name: labels.alertname ?? '',
    application: labels.app ?? '',
    severity: labels.severity ?? '',
    summary: annotations.summary ?? '',
    since: startsAt,
    state: status.state,
  }))
}

const day = 86_400_000

/** One question for each service, in one command. */
async function readLastLines({ shell }: Monitoring, services: string[]): Promise<LogLine[]> {
  const from = `${Date.now() - day}000000`
  const script = `for query; do wget -qO- -T 10 "http://loki:3100/loki/api/v1/query_range?limit=1&start=${from}&query=$query"; echo; done`
  const queries = services.map(service => encodeURIComponent(`{service="${service}"}`))
  const answers = (await shell(script, queries)).trim().split('\n')
  return services.map((service, i) => ({ service, at: lastTime(answers[i] ?? '') }))
}

function lastTime(answer: string): number | undefined {
  if (!answer.startsWith('{')) return undefined
  const { data } = JSON.parse(answer) as { data: { result: { values: [string, string][] }[] } }
  const times = data.result.flatMap(({ values }) => values.map(([time]) => Number(time) / 1e6))
  return times.length ? Math.max(...times) : undefined
}
