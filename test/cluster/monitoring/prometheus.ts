// A Prometheus that the real operator configures, in the namespace where kube-prometheus-stack stands and with
// its choice by labels.
import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { operator } from '../../tools.ts'
import { apply, clusterEnv, kubectl, namespace, registry } from '../cluster.ts'
import { copy, of, type Json } from '../manifests.ts'
import {
  clusterObjects,
  demoImage,
  edgeObjects,
  environmentObjects,
  here,
  stateObjects,
} from './objects.ts'
import { clusterTargets, expectedTargets, strayMonitor, type Target } from './targets.ts'

const account = (name: string): Json[] => [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, ...here } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'kgc-test-prometheus' },
    // those that kube-prometheus-stack gives
    rules: [
      {
        apiGroups: [''],
        resources: ['nodes', 'nodes/metrics', 'services', 'endpoints', 'pods'],
        verbs: ['get', 'list', 'watch'],
      },
      {
        apiGroups: ['networking.k8s.io'],
        resources: ['ingresses'],
        verbs: ['get', 'list', 'watch'],
      },
      { nonResourceURLs: ['/metrics', '/metrics/cadvisor'], verbs: ['get'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'kgc-test-prometheus' },
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: 'kgc-test-prometheus',
    },
    subjects: [{ kind: 'ServiceAccount', name, ...here }],
  },
]

/** What infra/k8s/README.md has an administrator install, in the operator's words. */
const prometheus: Json = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'Prometheus',
  metadata: { name: 'stack', ...here },
  spec: {
    image: demoImage('prometheus'),
    version: 'v2.53.3',
    serviceAccountName: 'prometheus',
    evaluationInterval: '1s',
    ...Object.fromEntries(
      ['serviceMonitor', 'podMonitor', 'probe', 'rule'].flatMap(kind => [
        [`${kind}Selector`, { matchLabels: { release: 'kube-prometheus-stack' } }],
        [`${kind}NamespaceSelector`, {}],
      ]),
    ),
    alerting: { alertmanagers: [{ ...here, name: 'alertmanager-operated', port: 'web' }] },
    securityContext: { runAsNonRoot: true, runAsUser: 65534, fsGroup: 65534 },
  },
}

/** Runs the operator until the process ends; what it says is in a file of the copy. */
function startOperator(): void {
  const log = openSync(join(copy.root, 'operator.log'), 'w')
  const argv = [
    '--prometheus-instance-namespaces=monitoring',
    '--kubelet-service=kube-system/kgc-test-kubelet',
    `--prometheus-config-reloader=${registry}/kgc-test/prometheus-config-reloader:1`,
    '--web.listen-address=127.0.0.1:0',
  ]
  const env = { ...process.env, ...clusterEnv }
  const running = spawn(operator, argv, { env, stdio: ['ignore', log, log] })
  // else this process would wait for it
  running.unref()
  process.once('exit', () => {
    running.kill()
    const argv = ['--ignore-not-found', '--wait=false']
    kubectl(['delete', 'clusterrole,clusterrolebinding', 'kgc-test-prometheus', ...argv], {
      nothrow: true,
    })
    kubectl(
      ['delete', 'service,endpoints', 'kgc-test-kubelet', '--namespace', 'kube-system', ...argv],
      { nothrow: true },
    )
  })
}

/** What has been brought into the cluster. */
export interface Scraped {
  /** The environment's namespace. */
  space: string
  /** Those that must come. */
  targets: Target[]
  /** That of a monitor with a wrong port. */
  stray: Target
  /** The names of all alerts. */
  alerts: string[]
}

/** Brings all of that, and what is more, into a cluster that has the operator's CRDs; waits for nothing. */
export function startPrometheus(...more: object[]): Scraped {
  const space = namespace('kgc-scraped')
  const edge = namespace('edge')
  const cluster = clusterObjects(edge)
  const objects = environmentObjects(space)
  for (const file of ['priorities.yaml', 'monitoring/namespace.yaml'])
    kubectl(['apply', '--filename', join(copy.root, 'infra/k8s/cluster', file)])
  // its configuration reaches a pod that runs only after a minute: first what it is made of
  apply(...cluster, ...edgeObjects(edge), ...stateObjects(space), ...objects)
  apply(strayMonitor(objects, space), ...account('prometheus'), prometheus, ...more)
  startOperator()
  const targets = [...expectedTargets(objects, space), ...clusterTargets]
  const [, ...labels] = targets[0]!
  const rules = of([...cluster, ...objects], 'PrometheusRule').flatMap(({ spec }) =>
    spec.groups.flatMap((group: Json) => group.rules as Json[]),
  )
  return {
    ...{ space, targets, stray: [`podMonitor/${space}/stray/0`, ...labels] },
    alerts: rules.flatMap(({ alert }) => alert ?? []).sort(),
  }
}

/** What Prometheus answers, through the API server. */
export function askPrometheus(path: string): any {
  const service = '/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1'
  return JSON.parse(kubectl(['get', '--raw', `${service}/${path}`])).data
}

/** The values of an expression, by the labels that are named. */
export const query = (expression: string, ...labels: string[]): unknown[][] =>
  askPrometheus(`query?query=${encodeURIComponent(expression)}`).result.map(
    ({ metric, value }: Json) => [...labels.map(name => metric[name]), Number(value[1])],
  )

/** The targets that answer, and what is wrong with the others. */
export function readTargets(): { up: Target[]; down: string[] } {
  const active: Json[] = askPrometheus('targets?state=active').activeTargets
  const targetOf = ({ scrapePool, labels }: Json): Target => [
    ...([scrapePool, labels.job, labels.app, labels.environment] as const),
  ]
  return {
    up: active.filter(({ health }) => health === 'up').map(targetOf),
    down: active
      .filter(({ health }) => health !== 'up')
      .map(one => `${targetOf(one).join(' ')}: ${one.scrapeUrl} ${one.health} ${one.lastError}`),
  }
}
