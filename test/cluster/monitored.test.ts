// What the component `monitoring` and infra/k8s/cluster/monitoring make, read off what kustomize
// builds: the objects of the operator against pods, ports and policies, and against Compose.
import { readFileSync, readdirSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { relabel } from '../relabel.ts'
import { repository } from '../sandbox.ts'
import {
  build,
  buildOverlay,
  find,
  labelsOf,
  mainOf,
  of,
  podOf,
  selects,
  title,
  workloads,
  type Json,
} from './manifests.ts'

const test = suite('monitored')
const component = '../../components/monitoring'
const overlay = (more: Json = {}): Json[] =>
  buildOverlay({
    namespace: 'kgc-production',
    resources: ['../production'],
    components: [component],
    ...more,
  })
const plain = build('overlays/production')
const all = overlay()
const cluster = build('cluster/monitoring')
const read = (...path: string[]) =>
  parse(readFileSync(join(repository, 'infra', ...path), 'utf8'), { merge: true })
const operators = (objects: Json[]) =>
  objects.filter(({ apiVersion }) => apiVersion === 'monitoring.coreos.com/v1')
const isNew = (one: Json) => !plain.some(other => title(other) === title(one))
const exporters = workloads(all).filter(one => labelsOf(one)['kgc.hu/exporter'])

test('an environment without the component has nothing of it; with it, only databases and Redis change', () => {
  for (const environment of ['production', 'staging', 'demo'])
    assert.equal(operators(build(`overlays/${environment}`)).map(title), [], environment)
  const changed = plain.filter(
    one => JSON.stringify(one) !== JSON.stringify(all.find(other => title(other) === title(one))),
  )
  const stores = of(plain, 'StatefulSet').filter(({ metadata }) =>
    /-(db|redis)$/.test(metadata.name),
  )
  assert.equal(changed.map(title).sort(), stores.map(title).sort())
})

test('every new object says its turn, and every pod has limits, probes and no rights', () => {
  for (const one of all.filter(isNew))
    assert.match(
      one.metadata.annotations?.['kgc.hu/order'] ?? '',
      /^(data|application)$/,
      title(one),
    )
  for (const workload of workloads(all).filter(isNew)) {
    const { resources, securityContext, readinessProbe, livenessProbe } = mainOf(workload)
    assert.ok(resources.limits.memory && resources.requests.cpu, title(workload))
    assert.ok(readinessProbe && livenessProbe, title(workload))
    assert.equal(
      [securityContext.readOnlyRootFilesystem, securityContext.capabilities.drop],
      [true, ['ALL']],
    )
    assert.is(podOf(workload).securityContext.runAsNonRoot, true, title(workload))
    assert.is(podOf(workload).automountServiceAccountToken, false, title(workload))
  }
})

test("every object of the operator has the label that chooses it, and an overlay's patch sets another", () => {
  const labels = (objects: Json[]) => [
    ...new Set(operators(objects).map(({ metadata }) => metadata.labels?.release)),
  ]
  assert.equal([...labels(all), ...labels(cluster)], Array(2).fill('kube-prometheus-stack'))
  const patch = [{ op: 'replace', path: '/metadata/labels/release', value: 'mine' }]
  const patches = [{ target: { group: 'monitoring.coreos.com' }, patch: JSON.stringify(patch) }]
  assert.equal(labels(overlay({ patches })), ['mine'])
})

/** The pods that a PodMonitor asks, as `name:port`. */
const askedBy = (monitor: Json, pods: Json[]) =>
  lasting(pods)
    .filter(one => selects(monitor.spec.selector, labelsOf(one)))
    .flatMap(one =>
      monitor.spec.podMetricsEndpoints.flatMap(({ port }: Json) =>
        (mainOf(one).ports ?? [])
          .filter(({ name }: Json) => name === port)
          .map(({ containerPort }: Json) => `${one.metadata.name}:${containerPort}`),
      ),
    )
const lasting = (objects: Json[]) => of(objects, 'Deployment', 'StatefulSet', 'DaemonSet')

/** What every file of this name says, one in each application's folder. */
const folder = join(repository, 'infra/docker')
const readEach = (file: string): Json[] =>
  readdirSync(folder)
    .filter(name => existsSync(join(folder, name, file)))
    .map(name => read('docker', name, file))

test('Prometheus asks the pods that say themselves how they are, as on Compose, and nothing else', () => {
  const rows = readEach('docker-compose.monitoring.yml').flatMap(file =>
    Object.entries<Json>(file['x-monitoring']),
  )
  const itself = rows.filter(([, { by = [] }]) => by.includes('itself')).map(([name]) => name)
  const asked = askedBy(find(all, 'PodMonitor', 'pods'), all).map(one => one.split(':')[0])
  // Traefik is in a namespace of its own
  const own = ['blackbox-exporter', 'backup-exporter']
  const expected = [...itself.filter(name => name !== 'traefik'), ...own]
  assert.equal(asked.sort(), expected.sort())
  assert.equal(askedBy(find(cluster, 'PodMonitor', 'kgc-monitoring'), cluster).sort(), [
    'kgc-collector:8888',
    'kgc-node-exporter:9100',
    'loki:3100',
  ])
  assert.equal(askedBy(find(cluster, 'PodMonitor', 'kgc-traefik'), build('cluster')), [
    'traefik:8082',
  ])
})

const prometheus = { 'app.kubernetes.io/name': 'prometheus' }
/** Whether the policies of the environment let a connection in; who asks has these labels in this namespace. */
function letsIn(
  to: Json,
  port: number,
  labels: Record<string, string>,
  namespace: string,
): boolean {
  const rules = of(all, 'NetworkPolicy')
    .filter(
      ({ spec }) => spec.policyTypes.includes('Ingress') && selects(spec.podSelector, labelsOf(to)),
    )
    .flatMap(({ spec }) => spec.ingress ?? [])
  return rules.some(
    ({ from, ports }: Json) =>
      ports.some((one: Json) => one.port === port) &&
      from.some(
        ({ namespaceSelector, podSelector }: Json) =>
          selects(podSelector ?? {}, labels) &&
          (namespaceSelector
            ? selects(namespaceSelector, { 'kubernetes.io/metadata.name': namespace })
            : namespace === 'kgc-production'),
      ),
  )
}

test('the policies let Prometheus ask all that it is to ask, and its namespace nothing else', () => {
  for (const one of workloads(all)) {
    for (const { name, containerPort } of mainOf(one).ports ?? [])
      assert.is(
        letsIn(one, containerPort, prometheus, 'monitoring'),
        name === 'metrics',
        `${title(one)}:${name}`,
      )
    assert.not.ok(
      letsIn(one, 9187, { 'app.kubernetes.io/name': 'grafana' }, 'monitoring'),
      title(one),
    )
  }
})

test('an exporter asks the store of its own application, and no other', () => {
  assert.ok(exporters.length)
  for (const from of exporters)
    for (const to of of(all, 'StatefulSet').filter(one => /-(db|redis)$/.test(one.metadata.name))) {
      const [application] = to.metadata.name.split('-')
      const port = to.metadata.name.endsWith('-db') ? 5432 : 6379
      const out = of(all, 'NetworkPolicy')
        .filter(
          ({ spec }) =>
            spec.policyTypes.includes('Egress') && selects(spec.podSelector, labelsOf(from)),
        )
        .flatMap(({ spec }) => spec.egress ?? [])
        .some(
          ({ to: peers = [], ports = [] }: Json) =>
            ports.some((one: Json) => one.port === port) &&
            peers.some(
              ({ podSelector }: Json) => podSelector && selects(podSelector, labelsOf(to)),
            ),
        )
      const own = from.metadata.name.startsWith(`${application}-`)
      const words = `${title(from)} to ${title(to)}`
      assert.is(out, own, `${words}: out`)
      assert.is(letsIn(to, port, labelsOf(from), 'kgc-production'), own, `${words}: in`)
    }
})

test('probes ask what the probes.yml of Compose ask, by modules that are there, and are let in', () => {
  const probes: Json[] = readEach('probes.yml').flat()
  const internal = probes.filter(({ labels }) => labels.probe === 'internal')
  const { static: targets, relabelingConfigs } = find(all, 'Probe', 'internal').spec.targets
    .staticConfig
  assert.equal([...targets].sort(), internal.flatMap(one => one.targets).sort())
  // as Prometheus does it: the last that fits counts
  const moduleOf = (target: string) =>
    relabelingConfigs
      .filter(({ targetLabel }: Json) => targetLabel === '__param_module')
      .reduce((value: string, { regex = '(.*)', replacement = '$1' }: Json) => {
        const found = new RegExp(`^(?:${regex})$`).exec(target)
        return found ? replacement.replace('$1', found[1] ?? '') : value
      }, '')
  for (const { targets, labels } of internal)
    assert.is(moduleOf(targets[0]), labels.module, targets[0])
  const blackbox = labelsOf(find(all, 'Deployment', 'blackbox-exporter'))
  for (const target of targets) {
    const [, name, port] = /^http:\/\/([\w-]+):(\d+)\//.exec(target)!
    const service = find(all, 'Service', name!)
    assert.ok(
      service.spec.ports.some((one: Json) => one.port === Number(port)),
      target,
    )
    const pod = workloads(all).find(one =>
      selects({ matchLabels: service.spec.selector }, labelsOf(one)),
    )
    assert.ok(pod && letsIn(pod, Number(port), blackbox, 'kgc-production'), target)
  }
  const { prober, targets: open, module } = find(all, 'Probe', 'public').spec
  assert.equal(open.ingress.selector, { matchLabels: { 'kgc.hu/door': 'open' } })
  const [host, port] = prober.url.split(':')
  assert.is(find(all, 'Service', host).spec.ports[0].port, Number(port))
  const modules = read('monitoring/blackbox-exporter/config.yml').modules
  assert.ok([module, ...internal.map(({ labels }) => labels.module)].every(name => modules[name]))
})

test("exporters are Compose's: image and variables; so are the logins of the stores", () => {
  const compose = read('monitoring/stores/common.yml').services
  const image = (text: string) => text.replace(/^\$\{\w+:-(.*)\}$/, '$1')
  for (const one of exporters) {
    const kind = labelsOf(one)['kgc.hu/exporter']!
    const service = compose[`${kind}-exporter`]
    const container = mainOf(one)
    assert.is(container.image, image(service.image), title(one))
    const there = Object.keys(service.environment)
    const here = container.env.map(({ name }: Json) => name)
    const added = /^(DATA_SOURCE_(URI|USER)|REDIS_ADDR|REDIS_EXPORTER_SCRIPT)$/
    assert.equal(here.filter((name: string) => !added.test(name)).sort(), there.sort(), title(one))
    for (const { name, value } of container.env)
      if (value !== undefined && !added.test(name))
        assert.is(value, service.environment[name], name)
  }
  const [, , script] = compose['monitored-redis'].command
  for (const one of of(all, 'StatefulSet').filter(({ metadata }) =>
    metadata.name.endsWith('-redis'),
  )) {
    assert.is(mainOf(one).args[2].trim(), script.replaceAll('$$', '$').trim(), title(one))
    const before = mainOf(find(plain, 'StatefulSet', one.metadata.name))
      .args[2].trim()
      .split('\n')
    const lines: string[] = mainOf(one)
      .args[2].replace(/\\\n\s*/, '')
      .split('\n')
    assert.equal(
      lines.filter(line => !before.includes(line)).map(line => line.slice(0, 12)),
      ['user monitor'],
    )
    assert.equal(
      before.filter((line: string) => !lines.includes(line)),
      [],
    )
  }
  // what scripts leave in a folder there is in a ConfigMap here
  const homes = { 'backup-exporter': 'node-exporter' }
  for (const name of [
    'blackbox-exporter',
    'node-exporter',
    'backup-exporter',
    'collector',
    'loki',
  ]) {
    const found = lasting([...all, ...cluster]).find(
      ({ metadata }) => metadata.name.replace('kgc-', '') === name,
    )!
    const home = homes[name as keyof typeof homes] ?? name
    assert.is(
      mainOf(found).image,
      read(`monitoring/${home}/docker-compose.yml`).services[home].image,
      name,
    )
  }
})

/** What a ServiceMonitor or PodMonitor of the cluster makes of a series that it scrapes. */
function scraped(kind: string, name: string, series: Record<string, string>) {
  const { spec } = find(cluster, kind, name)
  const [{ relabelings, metricRelabelings }] = spec.endpoints ?? spec.podMetricsEndpoints
  // the operator's own labels of what is asked
  const target = { service: 'kubelet', namespace: 'kube-system', endpoint: 'web', node: 'n1' }
  const labels = relabel(target, relabelings)!
  return relabel({ ...labels, ...series }, metricRelabelings)
}
const placed = (labels: Record<string, string> | undefined) =>
  labels && [labels.__name__, labels.environment, labels.app, labels.service, labels.release]

test('a series of a container has the name, environment, application and service that it has on Compose', () => {
  const pod = (pod: string, namespace = 'kgc-staging') => ({ namespace, pod, container: 'c' })
  const kubelet = (labels: Record<string, string>) =>
    placed(
      scraped('ServiceMonitor', 'kgc-containers', { __name__: 'container_last_seen', ...labels }),
    )
  const last = 'container_last_seen'
  assert.equal(kubelet(pod('twenty-worker-7d9f8b6c5d-x2x4z')), [
    ...[last, 'staging', 'twenty', 'twenty-worker', undefined],
  ])
  assert.equal(kubelet(pod('kgc-db-0')), [last, 'staging', 'kgc', 'kgc-db', undefined])
  // a Job's, the pod's own, somebody else's, another metric
  assert.is(kubelet(pod('kgc-migrate-x2x4z')), undefined)
  assert.is(kubelet({ ...pod('kgc-db-0'), container: '' }), undefined)
  assert.is(kubelet(pod('coredns-0', 'kube-system')), undefined)
  assert.is(kubelet({ ...pod('kgc-db-0'), __name__: 'container_fs_reads_total' }), undefined)

  const state = (name: string, labels: Record<string, string>) =>
    placed(scraped('ServiceMonitor', 'kgc-workloads', { __name__: `kube_${name}`, ...labels }))
  const web = pod('kgc-web-6c5d7d9f8b-zz2zz', 'kgc-production')
  const kgc = ['production', 'kgc', 'kgc-web', undefined]
  assert.equal(state('pod_container_state_started', web), ['container_start_time_seconds', ...kgc])
  assert.equal(state('pod_container_status_ready', web), ['container_health_state', ...kgc])
  assert.is(state('pod_container_status_ready', pod('kgc-migrate-x2x4z')), undefined)
  const record = { namespace: 'kgc-production', configmap: 'kgc-release-12' }
  assert.equal(state('configmap_created', record), [
    ...['kgc_deploy_timestamp_seconds', 'production', 'cluster', undefined, '12'],
  ])
  assert.is(state('configmap_created', { ...record, configmap: 'stack-12345' }), undefined)

  const served = { __name__: 'traefik_service_requests_total' }
  const traefik = (service: string) =>
    placed(scraped('PodMonitor', 'kgc-traefik', { ...served, service }))?.slice(1, 3)
  assert.equal(traefik('kgc-demo-chatwoot-web-http@kubernetes'), ['demo', 'chatwoot'])
  assert.equal(traefik('ping@internal'), ['cluster', 'traefik'])
})

test('the public addresses are those of Compose, once the Ingress is open', () => {
  const compose = readEach('probes.yml')
    .flat()
    .filter(({ labels }) => labels.probe === 'public')
    .map(({ targets, labels }) => [
      targets[0].replace('${DOMAIN}${URL_PORT}', 'kgc.hu'),
      labels.app,
      'production',
      'blackbox-exporter.kgc-production.svc:9115',
    ])
  const steps = find(all, 'Probe', 'public').spec.targets.ingress.relabelingConfigs
  const asked = of(all, 'Ingress').flatMap(({ metadata, spec }) =>
    spec.rules.flatMap(({ host }: Json) => {
      // what the operator writes before
      const labels = relabel(
        { __tmp_ingress_address: host, ingress: metadata.name, namespace: 'kgc-production' },
        steps,
      )
      return labels ? [[labels.instance, labels.app, labels.environment, labels.__address__]] : []
    }),
  )
  // the API is served under the address of the web as well
  const own = ['https://app.kgc.hu/api/v1/health', 'kgc', ...compose[0]!.slice(2)]
  assert.equal(asked.sort(), [...compose, own].sort())
})

test('what every pod is asked for by reference is there', () => {
  const there = of([...all, ...cluster], 'ConfigMap').map(({ metadata }) => metadata.name)
  for (const one of lasting([...all, ...cluster]))
    for (const { configMap } of podOf(one).volumes ?? [])
      if (configMap && !configMap.optional)
        assert.ok(there.includes(configMap.name), `${title(one)}: ${configMap.name}`)
})

test.run()
