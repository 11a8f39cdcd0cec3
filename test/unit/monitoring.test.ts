// What is made of the monitoring's answers: targets against expected ones, faults, silences, and
// whether a test alert was taken.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findFaults } from '../../scripts/lib/commands/monitor.ts'
import { judgeMonitoring } from '../../scripts/lib/doctor/monitoring.ts'
import type { Failure } from '../../scripts/lib/errors.ts'
import type { Monitoring } from '../../scripts/lib/monitoring/ask.ts'
import { parseDuration, sendTestAlert, silenceAll } from '../../scripts/lib/monitoring/silence.ts'
import type { MonitoringStatus } from '../../scripts/lib/monitoring/status.ts'
import { judgeTargets, type SeenTarget } from '../../scripts/lib/monitoring/targets.ts'

const test = suite('monitoring')

const config = {
  name: 'kgc',
  services: {
    'shop-web': { labels: { 'hu.kgc.scrape.port': '9000' } },
    prometheus: { labels: { 'hu.kgc.scrape.port': '9090', 'hu.kgc.app': 'monitoring' } },
    'shop-db': {},
  },
}
const seen = (labels: Record<string, string>, health = 'up', lastError = ''): SeenTarget => ({
  labels,
  health,
  lastError,
})

test('a service that says its port and is no target is named, and so is an address that nobody asks', () => {
  const targets = judgeTargets(config, 2, [
    seen({ job: 'prometheus' }),
    seen({ job: 'probe', instance: 'https://shop/', app: 'shop' }, 'down', 'no such host'),
  ])
  assert.equal(
    targets.map(({ name, application, up, why }) => [name, application, up, why]),
    [
      ['shop-web', 'shop', false, 'Prometheus does not know it'],
      ['prometheus', 'monitoring', true, ''],
      ['https://shop/', 'shop', false, 'no such host'],
      ['address 2 of a probes.yml', 'monitoring', false, 'Prometheus does not know it'],
    ],
  )
})

test('a target that was not asked yet is not up', () => {
  const [first] = judgeTargets(config, 0, [seen({ job: 'shop-web' }, 'unknown')])
  assert.equal([first?.up, first?.why], [false, 'not asked yet'])
})

const good: MonitoringStatus = {
  targets: judgeTargets(config, 0, [seen({ job: 'shop-web' }), seen({ job: 'prometheus' })]),
  rules: { count: 3, failing: [] },
  watchdog: true,
  alerts: [],
  logs: [
    { service: 'shop-web', at: 1 },
    { service: 'shop-db', at: undefined },
  ],
}

test('a status without a fault has none, and each fault is said; an alert that fires is none', () => {
  const alert = {
    name: 'HostDown',
    application: 'host',
    severity: 'critical',
    summary: '',
    since: '',
  }
  assert.equal(findFaults({ ...good, alerts: [{ ...alert, state: 'active' }] }), [])
  const faults = findFaults({
    ...good,
    targets: judgeTargets(config, 0, [seen({ job: 'prometheus' })]),
    rules: { count: 0, failing: ['A: wrong'] },
    watchdog: false,
    logs: [{ service: 'shop-db', at: undefined }],
  })
  assert.equal(faults, [
    '1 of 2 targets are not measured: shop-web',
    'a rule fails: A: wrong',
    'Prometheus has no rules',
    'the watchdog has not reached Alertmanager: no alert could',
    'no service has a line in Loki',
  ])
})

test('a time is minutes, hours or days, and at most a week', () => {
  assert.equal(['90m', '2h', '7d'].map(parseDuration), [5_400_000, 7_200_000, 604_800_000])
  for (const wrong of ['', '2', '0h', '1.5h', '-2h', '8d', '169h', '2h ', '1w'])
    assert.throws(() => parseDuration(wrong), /no time of at most a week/)
})

/** Alertmanager, which takes what is posted and counts `counts` notifications more each time. */
function fake(counts: () => string) {
  const posted: { path: string; body: any }[] = []
  const ask: Monitoring['ask'] = async (_, path, body) => {
    if (!body) return counts()
    posted.push({ path, body })
    return '{"silenceID":"7"}'
  }
  const askJson: Monitoring['askJson'] = async (...words) => JSON.parse(await ask(...words))
  return { posted, ask, askJson, shell: async () => '' }
}

test('a silence is for all alerts but the watchdog, with its reason and its end', async () => {
  const alertmanager = fake(() => '')
  const { id, until } = await silenceAll(alertmanager, 3_600_000, 'a new disk')
  const [{ path, body }] = alertmanager.posted as [{ path: string; body: any }]
  assert.equal([id, path, body.comment], ['7', '/api/v2/silences', 'a new disk'])
  assert.equal(body.matchers, [
    { name: 'alertname', value: 'Watchdog', isRegex: false, isEqual: false },
  ])
  assert.is(body.endsAt, until.toISOString())
  assert.is(Date.parse(body.endsAt) - Date.parse(body.startsAt), 3_600_000)
})

const notified = (name: string, all: number, failed = 0) =>
  `alertmanager_notifications_total{integration="${name}",receiver_name="people"} ${all}\n` +
  `alertmanager_notifications_failed_total{integration="${name}",reason="other"} ${failed}\n`

test('a test alert is taken when each receiver that is set has taken one more, and then it ends', async () => {
  let count = 4
  const alertmanager = fake(() => notified('slack', count++) + notified('email', 9))
  const taken = await sendTestAlert('kgc', alertmanager, {
    MONITORING_SLACK_URL: 'x',
    KGC_ENVIRONMENT: 'e',
  })
  assert.equal(taken, ['slack'])
  const [first, last] = alertmanager.posted.map(({ body }) => body[0])
  assert.equal([first.labels.alertname, first.labels.environment], ['TestAlert', 'e'])
  assert.ok(Date.parse(first.endsAt) > Date.now() && Date.parse(last.endsAt) <= Date.now())
})

test('without a receiver no test alert is sent', async () => {
  const alertmanager = fake(() => '')
  try {
    await sendTestAlert('kgc', alertmanager, {})
    assert.unreachable()
  } catch (error) {
    assert.is((error as Failure).code, 3)
  }
  assert.equal(alertmanager.posted, [])
})

test('the doctor says that nobody is told, that nobody outside watches, and that logs are elsewhere', () => {
  const of = (values: Record<string, string>, stack = { monitored: true, suffix: '' }) =>
    judgeMonitoring(stack, values, { DockerRootDir: '/srv/docker' }).map(
      ({ severity, next }) => `${severity}: ${next}`,
    )
  assert.is(of({}).length, 2)
  assert.match(
    of({ MONITORING_MAIL_TO: 'a@kgc.hu' }).join(),
    /^warning: set MONITORING_WATCHDOG_URL/,
  )
  assert.equal(of({ MONITORING_MAIL_TO: 'a@kgc.hu', MONITORING_WATCHDOG_URL: 'https://x' }), [])
  assert.equal(of({}, { monitored: false, suffix: '' }), [])
  assert.equal(of({}, { monitored: true, suffix: '.demo' }), [])
  assert.equal(of({ DOCKER_ROOT: '/var/lib/docker' }, { monitored: true, suffix: '.demo' }), [
    'warning: set DOCKER_ROOT=/srv/docker in infra/monitoring/.env.demo, then make up',
  ])
})

test.run()
