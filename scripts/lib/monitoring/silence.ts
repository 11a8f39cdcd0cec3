// Silences, and the test alert.
import { hostname, userInfo } from 'node:os'
import { usageFailure } from '../cli.ts'
import { exit, Failure } from '../errors.ts'
import { constantDelays, pollUntil } from '../retry.ts'
import type { Monitoring } from './ask.ts'

const units: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 }
const longest = 7 * units.d!

/** ms of `90m`, `2h` or `1d`; Failure (usage) for anything else and for more than a week. */
export function parseDuration(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d*)([mhd])$/.exec(text) ?? []
  const ms = Number(count) * (units[unit] ?? Number.NaN)
  if (!(ms <= longest))
    throw usageFailure(`"${text}" is no time of at most a week, such as 90m, 2h or 1d`)
  return ms
}

/**
 * Nobody is told of anything for `ms`, but the watchdog's receiver outside. Out: the silence's id
 * and its end.
 */
export async function silenceAll(
  { askJson }: Monitoring,
  ms: number,
  reason: string,
): Promise<{ id: string; until: Date }> {
  const now = Date.now()
  const until = new Date(now + ms)
  const { silenceID } = await askJson<{ silenceID: string }>('alertmanager', '/api/v2/silences', {
    matchers: [{ name: 'alertname', value: 'Watchdog', isRegex: false, isEqual: false }],
    startsAt: new Date(now).toISOString(),
    endsAt: until.toISOString(),
    createdBy: `${userInfo().username}@${hostname()}`,
    comment: reason,
  })
  return { id: silenceID, until }
}

/** Alertmanager's names of its ways to people, each with the setting that opens it. */
export const receivers: Record<string, string> = {
  slack: 'MONITORING_SLACK_URL',
  discord: 'MONITORING_DISCORD_URL',
  webhook: 'MONITORING_WEBHOOK_URL',
  email: 'MONITORING_MAIL_TO',
}

/** How often each way was tried, and how often that failed. */
async function countNotifications({ ask }: Monitoring): Promise<Record<string, number>> {
  const text = await ask('alertmanager', '/metrics')
  const counts: Record<string, number> = {}
  for (const [, failed, name = '', value] of text.matchAll(
    /^alertmanager_notifications(_failed)?_total\{(?=[^}]*integration="(\w+)")[^}]*\} (\S+)$/gm,
  )) {
    const key = `${name}${failed ? ' failed' : ''}`
    counts[key] = (counts[key] ?? 0) + Number(value)
  }
  return counts
}

/**
 * Sends an alert that says it is a test on the way of every real one, and waits until each receiver
 * that is set has taken it. Out: their names. Throws Failure: refused where none is set, broken
 * when one has not taken it within two minutes.
 */
export async function sendTestAlert(
  project: string,
  monitoring: Monitoring,
  settings: Record<string, string>,
): Promise<string[]> {
  const what = 'Send the test alert'
  const wanted = Object.keys(receivers).filter(name => settings[receivers[name]!])
  if (!wanted.length)
    throw new Failure(exit.refused, what, 'no receiver is set: nobody is told of an alert', {
      next: `set ${Object.values(receivers).join(', ')} in infra/monitoring/.env, then make up`,
    })
  const start = Date.now()
  const before = await countNotifications(monitoring)
  await postTestAlert(monitoring, settings, new Date(start + 300_000))
  // the watchdog's receiver is a webhook, too, and is told every minute
  const others = () => 1 + Math.floor((Date.now() - start) / 60_000)
  const grown = (now: Record<string, number>, name: string) =>
    (now[name] ?? 0) - (before[name] ?? 0)
  const taken = (now: Record<string, number>, name: string) =>
    grown(now, name) - grown(now, `${name} failed`) >
    (name === 'webhook' && settings.MONITORING_WATCHDOG_URL ? others() : 0)
  const now = await pollUntil(
    () => countNotifications(monitoring),
    counts => wanted.every(name => taken(counts, name)),
    constantDelays(2_000, 120_000),
  )
  const open = wanted.filter(name => !taken(now, name))
  if (open.length)
    throw new Failure(exit.broken, what, `not taken within two minutes: ${open.join(', ')}`, {
      next: `docker compose -p ${project} logs alertmanager`,
    })
  await postTestAlert(monitoring, settings, new Date())
  return wanted
}

/** The metric's text: when the last test alert arrived, ms of this machine's clock. */
export const formatTestAlert = (now: number): string =>
  `# HELP kgc_test_alert_timestamp_seconds When the last test alert arrived.
# TYPE kgc_test_alert_timestamp_seconds gauge
kgc_test_alert_timestamp_seconds ${Math.floor(now / 1000)}
`

const postTestAlert = (
  { ask }: Monitoring,
  { KGC_ENVIRONMENT = '' }: Record<string, string>,
  endsAt: Date,
): Promise<string> =>
  ask('alertmanager', '/api/v2/alerts', [
    {
      labels: {
        alertname: 'TestAlert',
        severity: 'warning',
        app: 'test',
        environment: KGC_ENVIRONMENT,
      },
      annotations: {
        summary: 'This is a test: nothing is wrong',
        description: 'Somebody asks whether alerts arrive (scripts/monitor.ts test-alert).',
        runbook_url: 'infra/monitoring/RUNBOOK.md#the-test-alert',
      },
      endsAt: endsAt.toISOString(),
    },
  ])
