// Who may talk to whom: the policies' own words, worked out for every pair of workloads and every
// port, against the flows that are meant.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  build,
  environments,
  labelsOf,
  mainOf,
  of,
  podOf,
  selects,
  workloads,
  type Json,
} from './manifests.ts'

const test = suite('flows')

/**
 * All flows between pods: from, to, port. `traefik` is the edge in its own namespace. Another
 * application's flows are what its own policies say, but for the rules of `strange`.
 */
const meant = `
  traefik > kgc-api:3000 kgc-web:80 kgc-admin:80 twenty-server:3000 chatwoot-web:3000 horilla-web:8000
  kgc-api > kgc-db:5432 kgc-redis:6379 twenty-server:3000 chatwoot-web:3000 horilla-web:8000
  kgc-web > kgc-api:3000
  kgc-admin > kgc-api:3000
  kgc-migrate > kgc-db:5432
  twenty-server > twenty-db:5432 twenty-redis:6379
  twenty-worker > twenty-db:5432 twenty-redis:6379 twenty-server:3000 kgc-api:3000
  chatwoot-web > chatwoot-db:5432 chatwoot-redis:6379
  chatwoot-sidekiq > chatwoot-db:5432 chatwoot-redis:6379 kgc-api:3000
  chatwoot-prepare > chatwoot-db:5432 chatwoot-redis:6379
  horilla-web > horilla-db:5432
  horilla-scheduler > horilla-db:5432`
  .trim()
  .split('\n')
  .flatMap(line => {
    const [from, to] = line.trim().split(' > ') as [string, string]
    return to.split(' ').map(one => `${from} > ${one}`)
  })

const known = new Set(meant.flatMap(flow => flow.replace(/:\d+$/, '').split(' > ')))
/** What no application may do, whatever its policies say: ask another one's store. */
const strange = (from: Pod, to: Pod) =>
  /-(db|redis)$/.test(to.name) && from.labels[partOf] !== to.labels[partOf]
const partOf = 'app.kubernetes.io/part-of'

/** Ports on the internet. */
const outward: Record<string, number[]> = {
  'kgc-api': [443],
  'twenty-server': [443, 25, 465, 587, 993],
  'twenty-worker': [443, 25, 465, 587, 993],
  'chatwoot-web': [443],
  'chatwoot-sidekiq': [443, 25, 465, 587, 993],
  'horilla-web': [443, 25, 465, 587],
  'horilla-scheduler': [443, 25, 465, 587],
}

interface Pod {
  name: string
  namespace: string
  labels: Record<string, string>
  ports: number[]
}

const edge = build('cluster')
const podsOf = (all: Json[]): Pod[] =>
  workloads(all).map(workload => ({
    name: workload.metadata.name,
    namespace: workload.metadata.namespace,
    labels: labelsOf(workload),
    ports: (mainOf(workload).ports ?? []).map(({ containerPort }: Json) => containerPort),
  }))

const selecting = (all: Json[], pod: Pod, direction: 'Ingress' | 'Egress') =>
  of(all, 'NetworkPolicy').filter(
    ({ metadata, spec }) =>
      metadata.namespace === pod.namespace &&
      spec.policyTypes.includes(direction) &&
      selects(spec.podSelector, pod.labels),
  )

function peer({ podSelector, namespaceSelector, ipBlock }: Json, pod: Pod, home: string): boolean {
  if (ipBlock) return false
  const place = namespaceSelector
    ? selects(namespaceSelector, { 'kubernetes.io/metadata.name': pod.namespace })
    : pod.namespace === home
  return place && selects(podSelector ?? {}, pod.labels)
}

/**
 * Whether the policies of one side let a connection pass; a pod that no policy selects lets
 * everything.
 */
function lets(
  all: Json[],
  pod: Pod,
  direction: 'Ingress' | 'Egress',
  other: Pod,
  port: number,
): boolean {
  const policies = selecting(all, pod, direction)
  const rules: Json[] = policies.flatMap(({ spec }) => spec[direction.toLowerCase()] ?? [])
  const opens = ({ ports }: Json) =>
    !ports || ports.some((one: Json) => one.port === port && (one.protocol ?? 'TCP') === 'TCP')
  const means = ({ from, to }: Json) =>
    !(from ?? to) || (from ?? to).some((one: Json) => peer(one, other, pod.namespace))
  return !policies.length || rules.some(rule => opens(rule) && means(rule))
}

for (const environment of environments) {
  const all = [...build(`overlays/${environment}`), ...edge]
  const pods = podsOf(all)

  test(`${environment}: the flows between pods are those that are meant`, () => {
    const passes = (from: Pod, to: Pod, port: number) =>
      from !== to && lets(all, from, 'Egress', to, port) && lets(all, to, 'Ingress', from, port)
    const found = pods.flatMap(from =>
      pods.flatMap(to =>
        to.ports
          .filter(port => passes(from, to, port))
          .filter(() => (known.has(from.name) && known.has(to.name)) || strange(from, to))
          .map(port => `${from.name} > ${to.name}:${port}`),
      ),
    )
    assert.equal(found.sort(), [...meant].sort())
  })

  test(`${environment}: to the internet goes who must, and never to an address of the cluster's own`, () => {
    for (const pod of pods.filter(({ name }) => name !== 'traefik')) {
      const rules = selecting(all, pod, 'Egress')
        .flatMap(({ spec }) => spec.egress ?? [])
        .filter(({ to }: Json) => !to || to.some(({ ipBlock }: Json) => ipBlock))
      if (known.has(pod.name))
        assert.equal(
          [...new Set(rules.flatMap(({ ports }: Json) => ports.map(({ port }: Json) => port)))],
          outward[pod.name] ?? [],
          pod.name,
        )
      for (const rule of rules) {
        const [v4, v6] = rule.to.map(({ ipBlock }: Json) => ipBlock)
        assert.equal(v4.except, [
          '10.0.0.0/8',
          '100.64.0.0/10',
          '169.254.0.0/16',
          '172.16.0.0/12',
          '192.168.0.0/16',
        ])
        assert.equal(v6.except, ['fc00::/7', 'fe80::/10'])
      }
    }
  })

  test(`${environment}: every pod may ask for names`, () => {
    const dns: Pod = {
      name: 'dns',
      namespace: 'kube-system',
      labels: { 'k8s-app': 'kube-dns' },
      ports: [53],
    }
    for (const pod of pods) assert.ok(lets(all, pod, 'Egress', dns, 53), pod.name)
  })

  test(`${environment}: a pod that nobody thought of reaches nothing and is reached by nobody`, () => {
    const stranger: Pod = {
      name: 'stranger',
      namespace: `kgc-${environment}`,
      labels: {},
      ports: [80],
    }
    for (const pod of pods)
      for (const port of [80, ...pod.ports]) {
        if (pod.name === 'traefik' && [8080, 8443].includes(port)) continue
        assert.not.ok(
          lets(all, stranger, 'Egress', pod, port) && lets(all, pod, 'Ingress', stranger, port),
          `to ${pod.name}:${port}`,
        )
        assert.not.ok(
          lets(all, pod, 'Egress', stranger, 80) && lets(all, stranger, 'Ingress', pod, 80),
          `from ${pod.name}`,
        )
      }
  })

  test(`${environment}: what an application is told to call, it may call`, () => {
    const values = of(all, 'ConfigMap').flatMap(({ data }) => Object.values<string>(data))
    const addresses = values.flatMap(value => [
      ...value.matchAll(/^(?:http|redis):\/\/([\w-]+):(\d+)$/g),
    ])
    for (const [, host, port] of addresses.filter(([, host]) => known.has(host!)))
      assert.ok(
        meant.some(flow => flow.endsWith(` > ${host}:${port}`)),
        `${host}:${port}`,
      )
    assert.ok(addresses.length >= 4)
    assert.ok(workloads(all).every(workload => podOf(workload).hostNetwork === undefined))
  })
}

test.run()
