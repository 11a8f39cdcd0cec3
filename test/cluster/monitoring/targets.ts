// The targets that objects of the operator describe: whom Prometheus is to ask, and by which labels what is
// said there is found.
import { find, labelsOf, mainOf, of, type Json } from '../manifests.ts'

/** One target of Prometheus: who has it asked, and the labels by which rules and dashboards find it. */
export type Target = [pool: string, job: string, app: string, environment: string]

/** The targets that the environment's objects describe. */
export function expectedTargets(objects: Json[], space: string): Target[] {
  const environment = space.replace(/^kgc-/, '')
  const appOf = (name: string) => name.split('-')[0]!
  const pods = of(objects, 'Deployment', 'StatefulSet').filter(one =>
    (mainOf(one).ports ?? []).some(({ name }: Json) => name === 'metrics'),
  )
  const measured = pods.map((one): Target => {
    const { name } = one.metadata
    const isOwn = labelsOf(one)['app.kubernetes.io/part-of'] === 'monitoring'
    return [`podMonitor/${space}/pods/0`, name, isOwn ? 'monitoring' : appOf(name), environment]
  })
  const inside = find(objects, 'Probe', 'internal').spec.targets.staticConfig.static as string[]
  const probed = inside.map((url): Target => [
    `probe/${space}/internal`,
    'probe',
    appOf(url.slice(7)),
    environment,
  ])
  const open = of(objects, 'Ingress').filter(({ metadata }) => metadata.name !== 'kgc-api-docs')
  const outside = open.flatMap(({ metadata, spec }) =>
    (spec.rules as Json[]).map((): Target => [
      `probe/${space}/public`,
      'probe',
      appOf(metadata.name),
      environment,
    ]),
  )
  return [...measured, ...probed, ...outside]
}

const once = (name: string, job: string, app: string, monitor = 'podMonitor'): Target => [
  ...([`${monitor}/monitoring/${name}/0`, job, app, 'cluster'] as const),
]
/** Those of the cluster. */
export const clusterTargets: Target[] = [
  once('kgc-monitoring', 'node-exporter', 'host'),
  once('kgc-traefik', 'traefik', 'traefik'),
  once('kgc-containers', 'cadvisor', 'cluster', 'serviceMonitor'),
  once('kgc-workloads', 'kube-state-metrics', 'cluster', 'serviceMonitor'),
  once('kgc-prometheus', 'prometheus', 'monitoring', 'serviceMonitor'),
  once('kgc-alertmanager', 'alertmanager', 'monitoring', 'serviceMonitor'),
]

/** A monitor that asks a port that nothing has: as if somebody had renamed one. */
export const strayMonitor = (monitors: Json[], space: string): Json => {
  const one = find(monitors, 'PodMonitor', 'pods')
  const [endpoint] = one.spec.podMetricsEndpoints
  return {
    ...one,
    metadata: { ...one.metadata, name: 'stray', namespace: space },
    spec: { ...one.spec, podMetricsEndpoints: [{ ...endpoint, port: 'metric' }] },
  }
}
