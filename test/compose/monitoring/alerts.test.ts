// Prometheus and Alertmanager as they are configured: what is measured, who is told, and how often.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { stringify } from 'yaml'
import type { Stack } from '../../../scripts/lib/compose/stack.ts'
import { markStart } from '../../../scripts/lib/monitoring/start-marker.ts'
import { nameOf, rules } from '../../alerts.ts'
import { formatTestAlert } from '../../../scripts/lib/monitoring/silence.ts'
import { writeMetrics } from '../../../scripts/lib/monitoring/textfile.ts'
import { beforeAll } from '../../hooks.ts'
import { components } from '../../series.ts'
import { waitUntil } from '../../until.ts'
import { removeAll } from '../project.ts'

const project = 'kgc-test-alerts'
const folder = mkdtempSync(join(tmpdir(), 'kgc-alerts-'))
const test = suite('alerts')
/** Components of series.yaml that this test runs. */
const measured = ['prometheus', 'alertmanager', 'node_exporter']

const compose = (...argv: string[]): string =>
  execFileSync(
    'docker',
    ['compose', '-f', join(import.meta.dirname, 'docker-compose.yml'), ...argv],
    {
      encoding: 'utf8',
      env: { ...process.env, RULES: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
const ask = (service: string, address: string): any =>
  JSON.parse(compose('exec', '-T', service, 'wget', '-qO-', `http://127.0.0.1:${address}`))
const query = (expression: string): any[] =>
  ask('prometheus', `9090/api/v1/query?query=${encodeURIComponent(expression)}`).data.result

interface Message {
  path: string
  body: any
}
/** What the receiver was told on a path, oldest first. */
const told = (path: string): Message[] =>
  execFileSync('docker', ['logs', `${project}-receiver-1`], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Message)
    .filter(message => message.path === path)
/** The messages to people about an application: status and names of the alerts. */
const toldOf = (app: string): string[] =>
  told('/people')
    .filter(({ body }) => body.groupLabels.app === app)
    .map(({ body }) => `${body.status}: ${body.alerts.map((alert: any) => alert.labels.alertname)}`)

/** Real rules with a `for` of 2 s: those that the test makes true, and no other. */
function writeRules() {
  chmodSync(folder, 0o755)
  const chosen = rules
    .filter(({ alert }) =>
      ['Watchdog', 'HostDown', 'TargetDown', 'DeployFailed'].includes(alert ?? ''),
    )
    .map(({ file, ...rule }) => (rule.for ? { ...rule, for: '2s' } : rule))
  writeFileSync(join(folder, 'rules.yml'), stringify({ groups: [{ name: 'g', rules: chosen }] }))
  assert.is(chosen.length, 4, chosen.map(rule => nameOf({ ...rule, file: '' })).join())
}

beforeAll(test, () => {
  removeAll(project)
  writeRules()
  compose('up', '--detach', '--wait', '--quiet-pull')
})
test.after(() => removeAll(project))

test('every container that says its port is measured, and every series has app and environment', async () => {
  await waitUntil('three targets', 60, () => query('up == 1').length === 3)
  assert.equal(
    query('up')
      .map(({ metric }) => `${metric.app}/${metric.job}`)
      .sort(),
    ['host/node-exporter', 'monitoring/alertmanager', 'monitoring/prometheus'],
  )
  assert.equal(query('count({__name__=~".+", app=""})'), [])
  // the watchdog reads no series: it gets its environment when it leaves, as the next test sees
  const without = '{__name__=~".+", alertname!="Watchdog", environment!="test"}'
  assert.equal(query(`count(${without})`), [])
})

test('the demo has the versions whose source was read, and serves every series of it', () => {
  for (const name of measured)
    assert.match(
      query(`${name}_build_info`)[0]?.metric.version,
      components[name]?.demo.version ?? 'no version',
    )
  const names: string[] = ask('prometheus', '9090/api/v1/label/__name__/values').data
  const missing = measured.flatMap(name =>
    Object.entries(components[name]?.series ?? {})
      .filter(([series, { only }]) => only !== 'production' && !names.includes(series))
      .map(([series]) => series),
  )
  assert.equal(missing, [])
})

test('what runs now and then leaves a metric: the last test alert', async () => {
  await writeMetrics(project, 'kgc_test_alert', formatTestAlert(1_700_000_000_900))
  const value = () => query('kgc_test_alert_timestamp_seconds')[0]
  await waitUntil('the metric', 30, () => value() !== undefined)
  assert.equal(
    [value().metric.app, value().metric.environment, value().value[1]],
    ['host', 'test', '1700000000'],
  )
})

test('the watchdog arrives at its own receiver, and people hear nothing of it', async () => {
  await waitUntil('the watchdog', 150, () => told('/watchdog').length > 0, 1000)
  const { labels } = told('/watchdog')[0]?.body.alerts[0] ?? {}
  assert.is(`${labels.alertname} of ${labels.environment}`, 'Watchdog of test')
  assert.equal(told('/people'), [])
})

test('a host that hangs is told once, and once that it is over', async () => {
  compose('pause', 'node-exporter')
  await waitUntil('the alert', 90, () => toldOf('host').length > 0, 1000)
  compose('unpause', 'node-exporter')
  await waitUntil('its end', 90, () => toldOf('host').length > 1, 1000)
  assert.equal(toldOf('host'), ['firing: HostDown', 'resolved: HostDown'])
  const { text, title } = told('/slack')[0]?.body.attachments[0] ?? {}
  assert.is(title, '1 alert: host (test)')
  assert.match(
    text,
    /^critical: Host node-exporter is not measured\n.*\nsince \d{4}-\d\d-\d\d \d\d:\d\d \(Budapest\)\n/,
  )
})

/** Posts alerts, as Prometheus does. */
function raise(...alerts: object[]): void {
  const post = ['wget', '-qO-', '--header=Content-Type: application/json']
  const address = 'http://127.0.0.1:9093/api/v2/alerts'
  compose('exec', '-T', 'alertmanager', ...post, `--post-data=${JSON.stringify(alerts)}`, address)
}
const alert = (alertname: string, severity: string, app: string) => ({
  labels: { alertname, severity, app, environment: 'test' },
  annotations: { summary: alertname },
})

test('of a cause and what it brings about people hear the cause alone', async () => {
  const alerts = [
    alert('ProbeFailing', 'critical', 'chatwoot'),
    alert('OldestJobTooOld', 'critical', 'chatwoot'),
    alert('ResponsesSlow', 'warning', 'chatwoot'),
    alert('DatabaseDown', 'critical', 'chatwoot'),
    alert('ProbeFailing', 'critical', 'twenty'),
  ]
  raise(...alerts)
  const both = () => toldOf('chatwoot').length > 0 && toldOf('twenty').length > 0
  await waitUntil('both messages', 60, both, 1000)
  assert.equal(toldOf('chatwoot'), ['firing: DatabaseDown'])
  assert.equal(toldOf('twenty'), ['firing: ProbeFailing'])
})

// after the others: for five minutes nobody hears of what restarts raise
test('what a start raises by itself is told to nobody, and a start that fails is told once, until one succeeds', async () => {
  const stack: Stack = { mode: 'demo', project, suffix: '.demo', monitored: true, argv: [] }
  const before = toldOf('host').length
  const failing = () => Promise.reject(new Error('a crash loop'))
  const error = await markStart(stack, failing).catch((error: Error) => error)
  assert.is((error as Error).message, 'a crash loop')
  await waitUntil('the alert', 90, () => toldOf('host').length > before, 1000)
  await markStart(stack, async () => {
    raise(alert('ProbeFailing', 'critical', 'shop'), alert('HostDiskFull', 'critical', 'disk'))
    await waitUntil('what is no restart', 60, () => toldOf('disk').length > 0, 1000)
  })
  await waitUntil('its end', 90, () => toldOf('host').length > before + 1, 1000)
  assert.equal(toldOf('host').slice(before), ['firing: DeployFailed', 'resolved: DeployFailed'])
  assert.equal(toldOf('shop'), [])
  assert.equal(
    query('kgc_deploy_timestamp_seconds').map(({ metric }) => [metric.environment, metric.result]),
    [['test', 'succeeded']],
  )
})

test('Alertmanager takes the configuration with every receiver and with none, and no secret stands in it', () => {
  const names = ['SLACK_URL', 'DISCORD_URL', 'WEBHOOK_URL', 'WATCHDOG_URL']
  const all = {
    ...Object.fromEntries(names.map(name => [`MONITORING_${name}`, 'https://canary.invalid/'])),
    MONITORING_MAIL_TO: 'a@kgc.hu',
    MAIL_FROM: 'b@kgc.hu',
    SMTP_HOST: 'mail.kgc.hu',
    SMTP_USERNAME: 'kgc',
    SMTP_PASSWORD: 'canary',
  }
  const none = Object.fromEntries(Object.keys(all).map(name => [name, '']))
  const check = `sed '$d' /kgc/start.sh | sh && amtool check-config /tmp/alertmanager.yml && cat /tmp/alertmanager.yml`
  const written = (values: Record<string, string>) =>
    compose(
      ...['run', '--rm', '--no-deps', '-T', '--entrypoint', 'sh'],
      ...Object.entries(values).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
      ...['alertmanager', '-c', check],
    )
  for (const kind of ['slack', 'discord', 'webhook', 'email'])
    assert.match(written(all), `${kind}_configs:`)
  assert.not.match(written(all), 'canary')
  assert.not.match(written(none), '_configs:')
})

test.run()
