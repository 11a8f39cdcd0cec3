// The objects of the operator before the real API server, with the CRDs of its own release; and
// what a deploy says to an Alertmanager through that server, with the deployer's rights alone.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../sandbox.ts'
import { operatorCrds } from '../tools.ts'
import { waitUntil } from '../until.ts'
import { apply, get, kubectl, namespace, registry, tool } from './cluster.ts'
import { createTestEnvironment } from './deploy/test-environment.ts'
import { build, buildOverlay, find, title, type Json } from './manifests.ts'

const test = suite('monitoring')
const stand = createTestEnvironment('measured')
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
  await waitUntil('the CRDs are gone', 60, () => {
    const argv = ['get', 'crd', 'podmonitors.monitoring.coreos.com', '--ignore-not-found']
    return kubectl(argv) === ''
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

/** An Alertmanager where every operator has its own, and the deployer's right to talk to it. */
async function startAlertmanager(): Promise<void> {
  const here = { namespace: 'monitoring' }
  const labels = { app: 'alertmanager' }
  const config = 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n'
  const name = 'alertmanager-operated'
  kubectl(['apply', '--filename', join(repository, 'infra/k8s/cluster/monitoring/namespace.yaml')])
  apply(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...here }, data: { config } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, ...here },
      spec: { selector: labels, ports: [{ name: 'web', port: 9093 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, ...here },
      spec: {
        selector: { matchLabels: labels },
        template: {
          // the policies take it for Prometheus
          metadata: { labels: { ...labels, 'app.kubernetes.io/name': 'prometheus' } },
          spec: {
            containers: [
              {
                name: 'alertmanager',
                image: `${registry}/kgc-demo/alertmanager:demo`,
                args: ['--config.file=/config/config', '--storage.path=/tmp'],
                readinessProbe: { httpGet: { path: '/-/ready', port: 9093 }, periodSeconds: 1 },
                volumeMounts: [{ name: 'config', mountPath: '/config' }],
              },
            ],
            volumes: [{ name: 'config', configMap: { name } }],
          },
        },
      },
    },
    find(cluster, 'Role', 'kgc-silences'),
    {
      ...find(cluster, 'RoleBinding', 'kgc-silences'),
      subjects: [{ kind: 'ServiceAccount', name: 'deployer', namespace: stand.space }],
    },
  )
  kubectl(['rollout', 'status', 'deployment', name, '--namespace', 'monitoring', '--timeout=120s'])
}

const askAlertmanager = (path: string): Json[] =>
  JSON.parse(
    kubectl([
      ...['get', '--raw'],
      `/api/v1/namespaces/monitoring/services/alertmanager-operated:9093/proxy/api/v2/${path}`,
    ]),
  )

test('where no Alertmanager answers, a deploy says so and succeeds', () => {
  const { code, stderr } = stand.run(['deploy', 'test'])
  assert.is(code, 0, stderr)
  assert.match(stderr, 'Alerts are not silenced')
})

test('a deploy silences what its restarts raise, and one that fails raises one alert', async () => {
  await startAlertmanager()
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
  assert.is(silence?.matchers[0].value, stand.space)
  assert.ok(Date.parse(silence?.endsAt) - Date.now() < 300_000)
  assert.equal(askAlertmanager('alerts'), [])

  stand.write({ ...measured, command: ['false'] })
  const { code, stderr } = stand.run(['deploy', 'test'])
  assert.is(code, 5, stderr)
  const alerts = askAlertmanager('alerts').map(({ labels }) => [
    labels.alertname,
    labels.environment,
  ])
  assert.equal(alerts, [['DeployFailed', stand.space]])
})

test('exporters log in to their stores, Prometheus may ask them, and nobody else', async () => {
  const space = namespace('exporters')
  kubectl(['apply', '--filename', join(repository, 'infra/k8s/cluster/priorities.yaml')])
  const password = () => randomBytes(12).toString('hex')
  const image = (name: string, other: string) => ({
    name,
    newName: `${registry}/kgc-demo/${other}`,
    newTag: 'demo',
    digest: '',
  })
  const all = buildOverlay({
    namespace: space,
    resources: ['../demo'],
    components: ['../../components/monitoring'],
    images: [
      image('quay.io/prometheuscommunity/postgres-exporter', 'postgres-exporter'),
      image('oliver006/redis_exporter', 'redis-exporter'),
    ],
    secretGenerator: [
      {
        name: 'monitoring-secrets',
        literals: ['DB', 'REDIS'].map(store => `EXPORTER_${store}_PASSWORD=${password()}`),
      },
    ],
  })
  const names = /^kgc-(db|redis|postgres-exporter|redis-exporter)$/
  const chosen = all.filter(
    ({ kind, metadata }) =>
      ['ConfigMap', 'Secret', 'NetworkPolicy'].includes(kind) ||
      (/^(Service|StatefulSet|Deployment)$/.test(kind) && names.test(metadata.name)),
  )
  apply(...chosen)
  const here = ['--namespace', space]
  for (const name of ['statefulset/kgc-db', 'deployment/kgc-postgres-exporter'])
    kubectl(['rollout', 'status', name, ...here, '--timeout=180s'], { timeout: 190_000 })
  const addressOf = (name: string): string =>
    get('pods', '--selector', `app.kubernetes.io/name=${name}`, ...here).items[0].status.podIP
  const ask = (from: string[], name: string, port: number) => {
    const wget = ['wget', '-qO-', '-T', '5', `http://${addressOf(name)}:${port}/metrics`]
    return tool('kubectl', ['exec', ...from, '--', ...wget], { nothrow: true })
  }
  const prometheus = ['deployment/alertmanager-operated', '--namespace', 'monitoring']
  const up = (store: string, name: string, port: number) =>
    waitUntil(`${store} is measured`, 60, () =>
      ask(prometheus, name, port).stdout.includes(`\n${store}_up 1\n`),
    )
  await up('pg', 'kgc-postgres-exporter', 9187)
  await up('redis', 'kgc-redis-exporter', 9121)
  const neighbour = ['deployment/kgc-redis-exporter', ...here]
  assert.is.not(ask(neighbour, 'kgc-postgres-exporter', 9187).code, 0)
})

test.run()
