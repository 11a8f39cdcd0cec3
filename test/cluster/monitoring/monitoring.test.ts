// The objects of the operator before the real API server; what the operator and a Prometheus make of them; and
// what people are told of a deploy, with the deployer's rights alone.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { operatorCrds } from '../../tools.ts'
import { waitUntil } from '../../until.ts'
import { get, kubectl, namespace, tool } from '../cluster.ts'
import { createTestEnvironment } from '../deploy/test-environment.ts'
import { startWebhookReceiver } from '../deploy/webhook-receiver.ts'
import { build, buildOverlay, title, type Json } from '../manifests.ts'
import { askAlertmanager, startAlertmanager } from './alertmanager.ts'
import { askPrometheus, query, readTargets, startPrometheus, type Scraped } from './prometheus.ts'
import type { Target } from './targets.ts'

const test = suite('monitoring')
const stand = createTestEnvironment('kgc-measured')
const environment = stand.space.replace(/^kgc-/, '')
const podMonitor = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'PodMonitor',
  metadata: { name: 'pods' },
  spec: { selector: {}, podMetricsEndpoints: [{ port: 'metrics' }] },
}
const measured = { more: [podMonitor] }
const cluster = build('cluster/monitoring')
const remove = (...argv: string[]) =>
  kubectl(['delete', ...argv, '--ignore-not-found', '--wait=false'], { nothrow: true })
const removeCrds = () => remove('--filename', operatorCrds)

removeCrds()
process.once('exit', () => {
  removeCrds()
  remove('namespace', 'monitoring')
})

test('without the CRDs an environment is deployed as before, and one with the component is refused by name', async () => {
  await waitUntil('what an earlier run had is gone', 90, () => {
    const names = ['crd/podmonitors.monitoring.coreos.com', 'namespace/monitoring']
    return kubectl(['get', ...names, '--ignore-not-found']) === ''
  })
  const plain = stand.run(['deploy', 'test'])
  assert.is(plain.code, 0, plain.stderr)
  assert.not.match(plain.stderr, 'silenced')
  stand.write(measured)
  const before = stand.generations()
  const { code, stderr } = stand.run(['deploy', 'test'])
  assert.is(code, 3, stderr)
  assert.match(
    stderr,
    /does not know PodMonitor \(monitoring\.coreos\.com\/v1\).*"What the cluster/,
  )
  assert.equal(stand.generations(), before)
})

test("the API server takes every object, as strictly as it can, and no exporter's pod wants a right", async () => {
  kubectl(['apply', '--server-side', '--filename', operatorCrds])
  kubectl(['wait', '--for=condition=Established', '--timeout=60s', '--filename', operatorCrds])
  const space = namespace('accepted', { 'pod-security.kubernetes.io/warn': 'restricted' })
  const plain = build('overlays/production').map(title)
  const all = buildOverlay({
    namespace: 'kgc-production',
    resources: ['../production'],
    components: ['../../components/monitoring'],
  })
  const own = all.filter(one => !plain.includes(title(one)))
  const operators = cluster.filter(({ apiVersion }) => apiVersion === podMonitor.apiVersion)
  const objects = [...own, ...operators].map(one => ({
    ...one,
    metadata: { ...one.metadata, namespace: space },
  }))
  const argv = [
    'apply',
    '--server-side',
    '--dry-run=server',
    '--validate=strict',
    '--filename',
    '-',
  ]
  const input = objects.map(one => JSON.stringify(one)).join('\n---\n')
  const { stdout, stderr } = tool('kubectl', argv, { input })
  assert.is(stdout.trim().split('\n').length, objects.length)
  assert.is(stderr, '')
  const wrong = { ...podMonitor, spec: { ...podMonitor.spec, podMetricsEndpoint: [] } }
  const refused = tool('kubectl', [...argv, '--namespace', space], {
    input: JSON.stringify(wrong),
    nothrow: true,
  })
  assert.match(refused.stderr, 'podMetricsEndpoint')
})

/** Fires when a pod of the environment has been replaced, under the name of an alert of ours. */
const restartRule = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'PrometheusRule',
  metadata: {
    name: 'restart',
    namespace: stand.space,
    labels: { release: 'kube-prometheus-stack' },
  },
  spec: {
    groups: [
      {
        name: 'restart',
        rules: [
          {
            alert: 'ContainerRestarting',
            expr: `count by (app, environment) (present_over_time(container_last_seen{environment="${environment}",service="alpha"}[3m])) > 1`,
          },
        ],
      },
    ],
  },
}
let scraped: Scraped

test('where no Alertmanager answers, a deploy says so and succeeds', () => {
  scraped = startPrometheus(restartRule)
  const { code, stderr } = stand.run(['deploy', 'test'])
  assert.is(code, 0, stderr)
  assert.match(stderr, 'Alerts are not silenced')
  startAlertmanager(stand.space)
})

/** As text, for a comparison in which each counts as often as it is there. */
const lines = (targets: Target[]) => targets.map(one => one.join(' ')).sort()

test('the operator and its Prometheus find and ask what the objects describe, by their labels, and nothing is down', async () => {
  const wanted = lines(scraped.targets)
  let seen: ReturnType<typeof readTargets> | undefined
  const isWhole = () => {
    seen = readTargets()
    return !seen.down.length && lines(seen.up).join() === wanted.join()
  }
  await waitUntil('all targets are up', 120, isWhole, 500).catch(() => {})
  assert.equal(seen?.down, [])
  assert.equal(lines(seen!.up), wanted)
  // one whose port has another name is missing, and not overlooked
  assert.ok(askPrometheus('scrape_pools').scrapePools.includes(scraped.stray[0]))
  assert.not(lines(seen!.up).includes(scraped.stray.join(' ')))
})

test('every rule is loaded and judged, and the series have the names and labels by which rules and panels ask', async () => {
  const groups: Json[] = askPrometheus('rules').groups
  const rules = groups.flatMap(({ rules }) => rules as Json[])
  assert.equal(
    rules.filter(({ health, lastError }) => health === 'err' || lastError),
    [],
  )
  assert.equal(
    rules
      .filter(({ type }) => type === 'alerting')
      .map(({ name }) => name)
      .sort(),
    [...scraped.alerts, 'ContainerRestarting'].sort(),
  )
  const here = `environment="${scraped.space.replace(/^kgc-/, '')}"`
  const is = (selector: string, ...values: unknown[][]) =>
    waitUntil(`${selector} is ${JSON.stringify(values)}`, 60, () => {
      const found = query(selector, 'app').sort()
      return JSON.stringify(found) === JSON.stringify(values)
    })
  await is(`pg_up{${here}} == 1`, ['kgc', 1], ['twenty', 1])
  await is(`redis_up{${here}} == 1`, ['kgc', 1], ['twenty', 1])
  // of the containers and of kube-state-metrics, the names that cAdvisor has on Compose
  const database = `${here},service="kgc-db"`
  await is(`count by (app) (container_memory_working_set_bytes{${database}})`, ['kgc', 1])
  await is(`container_health_state{${database}}`, ['kgc', 1])
  await is(`kgc_deploy_timestamp_seconds{${here},release="1"} > bool 0`, ['cluster', 1])
  await is(`kgc_backup_last_try_succeeded{${here}}`, ['monitoring', 0])
  await waitUntil('the failed backup is told', 60, () =>
    askAlertmanager('alerts').some(
      ({ labels }) => labels.alertname === 'BackupFailed' && here.includes(labels.environment),
    ),
  )
})

test('exporters answer Prometheus, and nobody else', () => {
  const here = ['--namespace', scraped.space]
  const selector = 'app.kubernetes.io/name=kgc-postgres-exporter'
  const { podIP } = get('pods', '--selector', selector, ...here).items[0].status
  const wget = ['wget', '-qO-', '-T', '5', `http://${podIP}:9187/metrics`]
  const neighbour = ['exec', 'deployment/kgc-redis-exporter', ...here]
  assert.is.not(tool('kubectl', [...neighbour, '--', ...wget], { nothrow: true }).code, 0)
})

/** What Alertmanager tells people of the environment, or would, were it not silenced. */
const alertsOf = (state: 'active' | 'suppressed') =>
  askAlertmanager('alerts')
    .filter(({ labels, status }) => labels.environment === environment && status.state === state)
    .map(({ labels }) => labels.alertname)

test('people are told nothing of a deploy whose restarts Prometheus sees', async () => {
  const alpha = `container_last_seen{environment="${environment}",service="alpha"}`
  await waitUntil('Prometheus sees the pod', 60, () => query(alpha).length === 1)
  stand.write({ ...measured, config: { A: '2' } })
  const good = stand.run(['deploy', 'test'])
  assert.is(good.code, 0, good.stderr)
  assert.not.match(good.stderr, 'silenced')
  const [silence, ...others] = askAlertmanager('silences')
  assert.is(others.length, 0)
  assert.equal(
    silence?.matchers.map(({ name, isRegex }: Json) => [name, isRegex]),
    [
      ['environment', false],
      ['alertname', true],
    ],
  )
  assert.is(silence?.matchers[0].value, environment)
  assert.ok(Date.parse(silence?.endsAt) - Date.now() < 300_000)
  await waitUntil('the restart has raised its alert', 60, () => alertsOf('suppressed').length)
  assert.equal(alertsOf('suppressed'), ['ContainerRestarting'])
  assert.equal(alertsOf('active'), [])
})

test('of one that fails people are told once: by the deploy itself, or by the alert where it has no way to them', async () => {
  stand.write({ ...measured, command: ['false'] })
  const hook = await startWebhookReceiver()
  const told = stand.start(['deploy', 'test'], { SLACK_WEBHOOK_URL: hook.address })
  assert.is(await told.code, 5, told.said())
  const ends = () => hook.said().filter(one => !one.includes('has started'))
  assert.equal(ends(), ['test was rolled back: release 4'])
  assert.equal(alertsOf('active'), [])

  const { code, stderr } = stand.run(['deploy', 'test'])
  assert.is(code, 5, stderr)
  assert.is(ends().length, 1)
  assert.equal(alertsOf('active'), ['DeployFailed'])
})

test.run()
