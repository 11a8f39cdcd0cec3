// An environment that is measured: all that the component `monitoring` brings, and of the applications the
// stores of two and the one that has metrics of its own. Beside it what a cluster has one of.
import { randomBytes } from 'node:crypto'
import { formatMetrics } from '../../../scripts/lib/backup/health/metrics.ts'
import { registry } from '../cluster.ts'
import {
  build,
  buildOverlay,
  find,
  labelsOf,
  mainOf,
  of,
  podOf,
  workloads,
  type Json,
} from '../manifests.ts'

export const here = { namespace: 'monitoring' }
export const demoImage = (name: string) => `${registry}/kgc-demo/${name}:demo`
/** What an object says is asked every 30 s; a test does not wait so long. */
const quick = (one: Json): Json =>
  JSON.parse(JSON.stringify(one).replaceAll('"interval":"30s"', '"interval":"2s"'))
const placed = (one: Json, namespace: string): Json => ({
  ...one,
  metadata: { ...one.metadata, namespace },
})
export const isOperators = ({ apiVersion }: Json) => apiVersion === 'monitoring.coreos.com/v1'

/** What is measured once for a cluster, as an administrator applies it; the edge is in `edge`. */
export function clusterObjects(edge: string): Json[] {
  const all = build('cluster/monitoring')
  const exporter = find(all, 'DaemonSet', 'kgc-node-exporter')
  mainOf(exporter).image = demoImage('node-exporter')
  const traefik = find(all, 'PodMonitor', 'kgc-traefik')
  traefik.spec.namespaceSelector.matchNames = [edge]
  const policies = of(all, 'NetworkPolicy')
  return [...all.filter(isOperators), exporter, ...policies].map(quick)
}

/** Traefik as the demo has it, which serves nobody here. */
export function edgeObjects(edge: string): Json[] {
  const all = build('overlays/demo/cluster').filter(
    ({ metadata }) => metadata.namespace === 'traefik',
  )
  const traefik = find(all, 'Deployment', 'traefik')
  delete podOf(traefik).serviceAccountName
  podOf(traefik).volumes = podOf(traefik).volumes.map(({ persistentVolumeClaim, ...one }: Json) =>
    persistentVolumeClaim ? { ...one, emptyDir: {} } : one,
  )
  return [...of(all, 'ConfigMap', 'NetworkPolicy'), traefik].map(one => placed(one, edge))
}

/** What kube-state-metrics says of one pod and one release, in its words (docs/metrics of its repository). */
const stateMetrics = (
  space: string,
): string => `kube_pod_container_state_started{namespace="${space}",pod="kgc-db-0",container="postgres"} 1800000000
kube_pod_container_status_ready{namespace="${space}",pod="kgc-db-0",container="postgres"} 1
kube_configmap_created{namespace="${space}",configmap="kgc-release-1"} 1800000000
`

/** Node exporter in the place of kube-state-metrics, whose module the proxy does not have. */
export function stateObjects(space: string): Json[] {
  const name = 'kube-state-metrics'
  const labels = { 'app.kubernetes.io/name': name }
  const args = [
    '--collector.disable-defaults',
    '--collector.textfile',
    '--collector.textfile.directory=/said',
  ]
  const container = {
    ...{ name, image: demoImage('node-exporter'), args },
    volumeMounts: [{ name: 'said', mountPath: '/said' }],
  }
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, ...here },
      data: { 'said.prom': stateMetrics(space) },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, labels, ...here },
      spec: { selector: labels, ports: [{ name: 'http', port: 8080, targetPort: 9100 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, ...here },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { containers: [container], volumes: [{ name: 'said', configMap: { name } }] },
        },
      },
    },
  ]
}

/** A try that has failed, beside an older good one. */
const backups = formatMetrics({
  ...{ project: 'kgc', encrypted: false, applications: { chatwoot: Date.now() - 3_600_000 } },
  lastTry: { at: Date.now(), ms: 1, why: 'no room' },
})

const images: Record<string, string> = {
  'quay.io/prometheuscommunity/postgres-exporter': 'postgres-exporter',
  'oliver006/redis_exporter': 'redis-exporter',
  'quay.io/prometheus/blackbox-exporter': 'blackbox-exporter',
  'prom/node-exporter': 'node-exporter',
}

const kinds = [
  'ConfigMap',
  'Secret',
  'NetworkPolicy',
  'Service',
  'Ingress',
  'PersistentVolumeClaim',
]

/** The environment's objects, but for most of the applications' pods. */
export function environmentObjects(space: string): Json[] {
  const password = () => randomBytes(12).toString('hex')
  const all = buildOverlay({
    namespace: space,
    resources: ['../demo'],
    components: ['../../components/monitoring'],
    images: Object.entries(images).map(([name, other]) => ({
      ...{ name, newName: `${registry}/kgc-demo/${other}`, newTag: 'demo', digest: '' },
    })),
    secretGenerator: [
      {
        name: 'monitoring-secrets',
        literals: ['DB', 'REDIS'].map(store => `EXPORTER_${store}_PASSWORD=${password()}`),
      },
    ],
  })
  // as admin.ts opens them
  for (const one of of(all, 'Ingress'))
    one.metadata.labels = { ...one.metadata.labels, 'kgc.hu/door': 'open' }
  const names = /^((kgc|twenty)-(db|redis)|twenty-server|(blackbox|backup)-exporter)$/
  const started = workloads(all).filter(
    one => names.test(one.metadata.name) || labelsOf(one)['kgc.hu/exporter'],
  )
  return [
    ...of(all, ...kinds).filter(({ metadata }) => !metadata.labels?.grafana_dashboard),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'backup-metrics', namespace: space },
      data: { 'kgc_backup.prom': backups },
    },
    ...started,
    ...all.filter(isOperators),
  ].map(quick)
}
