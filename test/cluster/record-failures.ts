// Records what the cluster shows of a failure, for test/unit/rollout.test.ts: applies each manifest
// of test/fixtures/rollout in a namespace of its own, and keeps every moment at which the verdict or
// what it rests on changes, until it is final. Usage: node --import=tsx test/cluster/record-failures.ts [NAME …]
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { WorkloadStatus } from '../../scripts/lib/rollout/status.ts'
import { workloadStatus, type ClusterSnapshot } from '../../scripts/lib/rollout/workload.ts'
import { get, kubectl, namespace } from './cluster.ts'

type Json = Record<string, any>
const folder = join(import.meta.dirname, '../fixtures/rollout')
const names =
  process.argv.length > 2
    ? process.argv.slice(2)
    : readdirSync(folder)
        .filter(file => file.endsWith('.yaml'))
        .map(file => file.slice(0, -5))
const isWorkload = ({ kind }: Json) => ['Deployment', 'StatefulSet', 'Job'].includes(kind)

/** What the judge does not read, and what names a machine. */
const noise = new Set([
  'managedFields',
  'resourceVersion',
  'tolerations',
  'imageID',
  'containerID',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'nodeName',
  'host',
  'source',
  'volumeMounts',
  'volumes',
  'template',
  'strategy',
  'updateStrategy',
  'kubectl.kubernetes.io/last-applied-configuration',
  'user',
  'securityContext',
  'serviceAccount',
  'serviceAccountName',
  'enableServiceLinks',
  'allocatedResources',
  'terminationMessagePath',
  'terminationMessagePolicy',
  'dnsPolicy',
  'preemptionPolicy',
  'priority',
  'schedulerName',
  'blockOwnerDeletion',
  'controller',
  'generateName',
  'lastProbeTime',
  'revisionHistoryLimit',
  'selector',
  'qosClass',
  'imagePullPolicy',
  'apiVersion',
  'reportingComponent',
  'reportingInstance',
  'finalizers',
])
const strip = (value: any): any => {
  if (Array.isArray(value)) return value.map(strip)
  if (!value || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !noise.has(key))
      .map(([key, inner]) => [key, strip(inner)]),
  )
}

function look(space: string): ClusterSnapshot {
  const all: any[] = get(
    'deployments,statefulsets,jobs,replicasets,pods,events',
    '--namespace',
    space,
  ).items.map(strip)
  const of = (...kinds: string[]) => all.filter(({ kind }) => kinds.includes(kind))
  const events = of('Event').filter(
    ({ type, reason }) => type === 'Warning' || reason === 'Killing',
  )
  return {
    workloads: of('Deployment', 'StatefulSet'),
    jobs: of('Job'),
    replicaSets: of('ReplicaSet'),
    pods: of('Pod'),
    events,
  }
}

async function record(name: string) {
  const file = join(folder, `${name}.yaml`)
  const wanted = parseAllDocuments(readFileSync(file, 'utf8'))
    .map(one => one.toJS())
    .filter(isWorkload)
  const space = namespace(`kgc-t-record-${name}`)
  const since = Date.now()
  kubectl(['apply', '--namespace', space, '--filename', file])
  const moments: (ClusterSnapshot & { now: number })[] = []
  let shown = ''
  let settled = 0
  for (;;) {
    const seen = look(space)
    const now = Date.now()
    const mine = [...seen.workloads, ...seen.jobs].filter(one =>
      wanted.some(({ kind, metadata }) => kind === one.kind && metadata.name === one.metadata.name),
    )
    const verdicts: WorkloadStatus[] = mine.map(one => workloadStatus(one, seen, now, since))
    const words = JSON.stringify(verdicts)
    if (words !== shown) {
      moments.push({ now, ...seen })
      for (const { state, detail } of verdicts)
        console.log(
          `${name} ${((now - since) / 1000).toFixed(1)} s  ${state}  ${detail.slice(0, 200)}`,
        )
    }
    shown = words
    const all = verdicts.length === wanted.length
    if (all && verdicts.some(({ state }) => state === 'failed')) break
    if (!(all && verdicts.every(({ state }) => state === 'ready'))) settled = 0
    else if (now - (settled ||= now) > (name === 'crash-late' ? 90_000 : 20_000)) break
    if (now - since > 180_000) break
    await new Promise(done => setTimeout(done, 700))
  }
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify({ since, moments }, null, 1)}\n`)
  kubectl(['delete', 'namespace', space, '--wait=false'])
}

await Promise.all(names.map(record))
