// The monitoring of a stack (scripts/monitor.ts).
import { usageFailure } from '../cli.ts'
import { requireEngine } from '../compose/containers.ts'
import { stackOf, type Stack } from '../compose/stack.ts'
import { loadEnvValues } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { openMonitoring } from '../monitoring/ask.ts'
import { warned } from '../monitoring/restarts.ts'
import { formatTestAlert, parseDuration, sendTestAlert, silenceAll } from '../monitoring/silence.ts'
import { readStatus, type MonitoringStatus } from '../monitoring/status.ts'
import { writeMetrics } from '../monitoring/textfile.ts'
import { emit, formatDuration, printResult, step, table } from '../report.ts'
import { root } from '../repository.ts'

interface MonitorArguments {
  values: { reason?: string }
  positionals: string[]
}

/** Does what the first word says. */
export async function runMonitorCommand({ values, positionals }: MonitorArguments): Promise<void> {
  const [verb = '', ...rest] = positionals
  const { reason } = values
  if (verb === 'silence') {
    const [time = '', mode] = rest
    const ms = parseDuration(time)
    if (!reason) throw usageFailure('--reason is missing: who finds the silence must know why')
    if (rest.length > 2) throw usageFailure('one time and one mode')
    return silence(stackFor(mode), ms, reason)
  }
  if (!['status', 'test-alert'].includes(verb))
    throw usageFailure(`"${verb}" is not one of status, silence, test-alert`)
  if (reason !== undefined) throw usageFailure('--reason goes with silence')
  if (rest.length > 1) throw usageFailure('one mode')
  return verb === 'status' ? reportStatus(stackFor(rest[0])) : testAlert(stackFor(rest[0]))
}

const stackFor = (mode = 'dev'): Stack => stackOf(mode, [], true)

async function silence(stack: Stack, ms: number, reason: string): Promise<void> {
  await requireEngine()
  const { id, until } = await silenceAll(await openMonitoring(stack), ms, reason)
  emit('silence', { project: stack.project, id, until: until.toISOString(), reason })
  printResult(
    `Nobody is told of alerts of ${stack.project} until ${until.toISOString()} (silence ${id}).`,
  )
}

async function testAlert(stack: Stack): Promise<void> {
  await requireEngine()
  const monitoring = await openMonitoring(stack)
  const settings = loadEnvValues(root, stack.suffix.slice(1))
  const taken = await step(`Send the test alert of ${stack.project}`, () =>
    sendTestAlert(stack.project, monitoring, settings),
  )
  await warned('Nobody will notice when no test alert arrives any more', () =>
    writeMetrics(stack.project, 'kgc_test_alert', formatTestAlert(Date.now())),
  )
  emit('test-alert', { project: stack.project, receivers: taken })
  printResult(`It was taken by ${taken.join(', ')}.`)
}

async function reportStatus(stack: Stack): Promise<void> {
  await requireEngine()
  const status = await readStatus(stack)
  const faults = findFaults(status)
  emit('status', { project: stack.project, ...status, faults })
  printResult([tableOfTargets(status), tableOfLogs(status), tableOfAlerts(status)].join('\n\n'))
  if (!faults.length) return
  throw new Failure(exit.broken, `Ask the monitoring of ${stack.project}`, faults[0] ?? '', {
    evidence: faults.slice(1).join('\n') || undefined,
    next: `npx zx scripts/bootstrap.ts --doctor --environment ${stack.mode}`,
  })
}

/** What keeps the monitoring itself from its work, the gravest last; alerts are what it is for. */
export function findFaults({ targets, rules, watchdog, logs }: MonitoringStatus): string[] {
  const down = targets.filter(({ up }) => !up)
  return [
    ...(down.length
      ? [
          `${down.length} of ${targets.length} targets are not measured: ${down.map(({ name }) => name).join(', ')}`,
        ]
      : []),
    ...rules.failing.map(one => `a rule fails: ${one}`),
    ...(rules.count ? [] : ['Prometheus has no rules']),
    ...(watchdog ? [] : ['the watchdog has not reached Alertmanager: no alert could']),
    ...(logs.some(({ at }) => at !== undefined) ? [] : ['no service has a line in Loki']),
  ]
}

const tableOfTargets = ({ targets, rules }: MonitoringStatus): string => {
  const up = targets.filter(one => one.up).length
  return table([
    ['', 'application', `targets (${up} of ${targets.length} up)`, ''],
    ...targets.map(({ name, application, up, why }) => [
      up ? '✔' : '✘',
      application,
      name,
      why.slice(0, 100),
    ]),
    ['', '', '', ''],
    [
      rules.failing.length ? '✘' : '✔',
      'monitoring',
      `${rules.count} rules, ${rules.failing.length} failing`,
    ],
  ])
}

const tableOfLogs = ({ logs }: MonitoringStatus): string =>
  table([
    ['service', 'last line of its log'],
    ...logs.map(({ service, at }) => [
      service,
      at === undefined ? 'none in 24 hours' : `${formatDuration(Date.now() - at)} ago`,
    ]),
  ])

const tableOfAlerts = ({ alerts }: MonitoringStatus): string =>
  alerts.length
    ? table([
        ['severity', 'application', 'alert', 'since', ''],
        ...alerts.map(({ severity, application, name, since, state, summary }) => [
          severity,
          application,
          name,
          since,
          state === 'active' ? summary : `${summary} (not told: ${state})`,
        ]),
      ])
    : 'No alert fires.'
