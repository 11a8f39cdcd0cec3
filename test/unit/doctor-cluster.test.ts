import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAllDocuments } from 'yaml'
import { readStackConfig } from '../../scripts/lib/kubernetes/kustomize.ts'
import {
  selectWorkloads,
  type Manifest,
  type Deployment,
} from '../../scripts/lib/kubernetes/objects.ts'
import { kubectlArgv } from '../../scripts/lib/kubernetes/kubectl.ts'
import {
  judgeAccess,
  judgeCluster,
  judgeMetrics,
  judgeStorage,
  type ClusterFacts,
} from '../../scripts/lib/doctor/cluster/cluster.ts'
import {
  parseEnvironment,
  loadEnvironment,
  listEnvironments,
} from '../../scripts/lib/kubernetes/environment.ts'
import {
  judgeKinds,
  judgePrerequisites,
  judgePolicies,
  judgePermissions,
  judgeSealing,
} from '../../scripts/lib/doctor/cluster/namespace.ts'
import { formatMetrics } from '../../scripts/lib/backup/health/metrics.ts'
import { judgeEnvironmentBackups } from '../../scripts/lib/doctor/monitoring.ts'
import {
  backupPermissions,
  listRequiredPermissions,
  restorePermissions,
} from '../../scripts/lib/kubernetes/permissions.ts'
import type { Finding } from '../../scripts/lib/doctor/finding.ts'
import { edgeAt } from '../../scripts/lib/smoke/edge.ts'
import { repository, sandbox } from '../sandbox.ts'

const test = suite('cluster')
const object = (
  kind: string,
  name: string,
  rest: Record<string, unknown> = {},
  metadata = {},
): Manifest => ({ kind, metadata: { name, ...metadata }, ...rest })

// environments

test('environments: each overlay of this repository has one, with a namespace of its own', () => {
  for (const name of ['demo', 'production', 'staging'])
    assert.ok(listEnvironments().includes(name), name)
  const all = listEnvironments().map(loadEnvironment)
  assert.is(new Set(all.map(({ namespace }) => namespace)).size, all.length)
  assert.ok(loadEnvironment('demo').disposable && loadEnvironment('demo').edge.https)
  assert.ok(loadEnvironment('production').protected && !loadEnvironment('production').disposable)
})

test('environments: what one does not say has a usual value', () => {
  const environment = parseEnvironment('x', '', 'namespace: shop')
  assert.equal(environment, {
    name: 'x',
    folder: 'infra/k8s/overlays/x',
    namespace: 'shop',
    edge: {},
    disposable: false,
    protected: false,
    stableSeconds: 10,
    sealedSecrets: { namespace: 'kube-system', name: 'sealed-secrets-controller' },
  })
  assert.equal(kubectlArgv(environment), ['kubectl', '--namespace', 'shop'])
  const other = parseEnvironment(
    'x',
    'context: c\nsealedSecrets: { name: sealer }\nstableSeconds: 3\n',
    'namespace: shop',
  )
  assert.equal(kubectlArgv(other), ['kubectl', '--context', 'c', '--namespace', 'shop'])
  assert.equal(
    [other.sealedSecrets, other.stableSeconds],
    [{ namespace: 'kube-system', name: 'sealer' }, 3],
  )
  assert.throws(() => parseEnvironment('x', '', ''), /it has no namespace/)
  assert.throws(
    () => parseEnvironment('x', 'after: staging\nstable: 3\n', 'namespace: shop'),
    /renamed: after is promotedFrom, stable is stableSeconds/,
  )
})

test('environments: one that is not there, and a word that is not understood', () => {
  const box = sandbox()
  const smoke = (name: string[]) => box.script(['smoke', ...name, '--target', 'kubernetes'])
  assert.match(
    smoke(['moon']).stderr,
    /there is no infra\/k8s\/overlays\/moon\/environment\.yaml[^]*one of: .*production.*staging/,
  )
  assert.match(smoke([]).stderr, 'none is named')
  assert.match(
    box.script(['smoke', 'demo', '--target', 'moon']).stderr,
    '--target moon is not known',
  )
  writeFileSync(
    join(box.root, 'infra/k8s/overlays/demo/environment.yaml'),
    'disposable: yes please\ncolour: red\nstableSeconds: -1\n',
  )
  const { code, stderr } = smoke(['demo'])
  assert.is(code, 2)
  assert.match(stderr, 'not understood: disposable, colour, stableSeconds')
})

test('the overlay: its workloads and its stack, whatever hash the name ends with', () => {
  const all = [
    object('Service', 'a'),
    object('Deployment', 'a'),
    object('Job', 'b'),
    object('ConfigMap', 'stack-6t2f7m5kd8', { data: { DOMAIN: 'kgc.hu' } }),
  ]
  assert.equal(
    selectWorkloads(all).map(({ metadata }) => metadata.name),
    ['a', 'b'],
  )
  assert.is(readStackConfig(all).DOMAIN, 'kgc.hu')
  assert.throws(
    () => readStackConfig([object('ConfigMap', 'stacker-6t2f7m5kd8', { data: {} })]),
    /no ConfigMap/,
  )
})

// doctor

const manifests = [
  object(
    'Namespace',
    'kgc-staging',
    {},
    { labels: { 'pod-security.kubernetes.io/enforce': 'baseline', other: 'x' } },
  ),
  object('PriorityClass', 'kgc-data'),
  object('IngressClass', 'edge'),
  object('Deployment', 'edge', {}, { namespace: 'edge' }),
  object('ClusterRole', 'any'),
]
const sealed = (value: string) => [
  object('SealedSecret', 's', {
    apiVersion: 'bitnami.com/v1alpha1',
    spec: { encryptedData: { A: value, B: 'x' } },
  }),
]
const metrics = (status: string, message = '') =>
  object('APIService', 'v1beta1.metrics.k8s.io', {
    spec: { group: 'metrics.k8s.io' },
    status: { conditions: [{ type: 'Available', status, message }] },
  })
const deployment = (name: string, status: object, metadata = {}) =>
  object('Deployment', name, { spec: {}, status }, metadata) as unknown as Deployment
const edge = (status: object) => deployment('edge', status, { namespace: 'edge' })
/** What backups have left: by application hours since its newest good one, none where it is undefined. */
function backupsOf(hours: Record<string, number | undefined>, isGood: boolean): Manifest {
  const ago = (age: number | undefined) => (age === undefined ? 0 : Date.now() - age * 3_600_000)
  const applications = Object.fromEntries(
    Object.entries(hours).map(([name, age]) => [name, ago(age)]),
  )
  const lastTry = { at: Date.now(), ms: 1, ...(isGood ? {} : { why: 'no room' }) }
  const text = formatMetrics({ project: 'shop', encrypted: false, applications, lastTry })
  return object('ConfigMap', 'backup-metrics', { data: { 'kgc_backup.prom': text } })
}

const facts = (change: Partial<ClusterFacts> = {}): ClusterFacts => ({
  environment: {
    name: 'staging',
    namespace: 'kgc-staging',
    context: 'kgc-staging',
    sealedSecrets: { namespace: 'kube-system', name: 'sealer' },
    disposable: false,
  },
  kubectl: true,
  contexts: ['kgc-staging'],
  current: 'other',
  version: { gitVersion: 'v1.36.3' },
  nodes: [object('Node', 'n')],
  namespaces: [manifests[0]!],
  priorityClasses: [manifests[1]!],
  ingressClasses: [manifests[2]!],
  storageClasses: [
    object(
      'StorageClass',
      'fast',
      {},
      { annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    ),
  ],
  apiServices: [metrics('True')],
  crds: [object('CustomResourceDefinition', 'sealedsecrets.bitnami.com')],
  unknownKinds: [],
  controllers: [deployment('sealer', { readyReplicas: 1 })],
  daemonSets: [object('DaemonSet', 'calico-node')],
  backupMetrics: [backupsOf({ chatwoot: 1 }, true)],
  deployments: [edge({ readyReplicas: 1 })],
  clusterFolder: 'infra/k8s/cluster',
  clusterManifests: manifests,
  overlay: sealed('x'),
  oldPasswords: [],
  missingPermissions: [],
  ...change,
})
const silent = (findings: Finding[]) => assert.equal(findings, [])
const one = (findings: Finding[], severity: Finding['severity'], what: RegExp, next?: RegExp) => {
  assert.is(findings.length, 1, JSON.stringify(findings))
  assert.is(findings[0]!.severity, severity)
  assert.match(findings[0]!.what, what)
  if (next) assert.match(findings[0]!.next, next)
  if (severity !== 'info') assert.ok(findings[0]!.next)
}

test('doctor: a whole cluster is one line of information', () =>
  one(judgeCluster(facts()), 'info', /Kubernetes v1\.36\.3, 1 node, context kgc-staging/))

test('doctor: kubectl, context, API server and version', () => {
  one(judgeCluster(facts({ kubectl: false })), 'error', /kubectl is not on the PATH/)
  one(
    judgeAccess(facts({ contexts: ['x'] })),
    'error',
    /no context kgc-staging/,
    /kubectl config get-contexts/,
  )
  const { version: _, ...deaf } = facts()
  one(
    judgeCluster({ ...deaf, apiError: 'connection refused' }),
    'error',
    /does not answer: connection refused/,
    /^kubectl --context kgc-staging cluster-info$/,
  )
  one(
    judgeAccess(facts({ version: { gitVersion: 'v1.29.4' } })),
    'error',
    /v1\.29\.4 is older than 1\.30/,
  )
  one(judgeAccess(facts({ version: { gitVersion: 'v1.30.0' } })), 'info', /v1\.30\.0/)
  const { context: _context, ...environment } = facts().environment
  one(judgeAccess(facts({ environment, current: '' })), 'error', /no current context/)
  one(judgeAccess(facts({ environment })), 'info', /context other/)
})

test('doctor: StorageClass and metrics', () => {
  const [fast] = facts().storageClasses!
  const twin = { ...fast!, metadata: { ...fast!.metadata, name: 'b' } }
  const slow = [object('StorageClass', 'slow')]
  silent(judgeStorage(facts()))
  one(
    judgeStorage(facts({ storageClasses: [] })),
    'error',
    /no StorageClass/,
    /local-path-storage\.yaml/,
  )
  one(
    judgeStorage(facts({ storageClasses: slow })),
    'error',
    /no StorageClass is the default \(slow\)/,
    /annotate storageclass slow .*=true/,
  )
  one(
    judgeStorage(facts({ storageClasses: [fast!, twin] })),
    'warning',
    /2 StorageClasses/,
    /annotate storageclass b .*=false/,
  )
  one(judgeStorage(facts({ storageClasses: undefined })), 'info', /cannot be read/)
  silent(judgeMetrics(facts()))
  one(
    judgeMetrics(facts({ apiServices: [] })),
    'warning',
    /metrics-server is missing/,
    /metrics-server\/releases/,
  )
  one(
    judgeMetrics(facts({ apiServices: [metrics('False', 'no endpoints')] })),
    'warning',
    /no endpoints/,
    /describe apiservice v1beta1\.metrics\.k8s\.io/,
  )
})

test('doctor: what an administrator applies once', () => {
  const next = /^kubectl --context kgc-staging apply -k infra\/k8s\/cluster$/
  silent(judgePrerequisites(facts()))
  one(
    judgePrerequisites(facts({ namespaces: [] })),
    'error',
    /Namespace missing: kgc-staging/,
    next,
  )
  const lax = object('Namespace', 'kgc-staging', {}, { labels: { other: 'y' } })
  one(
    judgePrerequisites(facts({ namespaces: [lax] })),
    'error',
    /lacks pod-security.*=baseline/,
    next,
  )
  one(
    judgePrerequisites(facts({ priorityClasses: [] })),
    'error',
    /PriorityClass missing: kgc-data/,
    next,
  )
  one(
    judgePrerequisites(facts({ ingressClasses: [] })),
    'error',
    /IngressClass missing: edge/,
    next,
  )
  one(judgePrerequisites(facts({ deployments: [] })), 'error', /Deployment missing: edge/, next)
  one(
    judgePrerequisites(facts({ deployments: [edge({})] })),
    'error',
    /no pod of edge\/edge is ready/,
    /describe pods -n edge/,
  )
  one(
    judgePrerequisites(facts({ deployments: undefined })),
    'info',
    /Deployment: edge cannot be read/,
  )
})

test('doctor: Sealed Secrets, where the overlay has any', () => {
  const install = /sealed-secrets\/releases\/download\/v[\d.]+\/controller\.yaml/
  silent(judgeSealing(facts()))
  silent(judgeSealing(facts({ overlay: [], crds: [], controllers: [] })))
  one(
    judgeSealing(facts({ overlay: sealed('') })),
    'warning',
    /1 secrets of staging are not sealed yet/,
    /seal\.ts staging/,
  )
  one(judgeSealing(facts({ crds: [] })), 'error', /Sealed Secrets is missing/, install)
  one(
    judgeSealing(facts({ controllers: [] })),
    'error',
    /controller kube-system\/sealer is not there/,
    install,
  )
  one(
    judgeSealing(facts({ controllers: [deployment('sealer', {})] })),
    'error',
    /is not ready/,
    /describe deployment sealer/,
  )
  one(judgeSealing(facts({ controllers: undefined })), 'info', /cannot be read/)
})

test('doctor: kinds that an add-on would bring', () => {
  silent(judgeKinds(facts({ unknownKinds: ['SealedSecret'] })))
  one(
    judgeCluster(facts({ unknownKinds: ['PodMonitor', 'Probe'] })).slice(1),
    'error',
    /does not know PodMonitor, Probe, which staging has/,
    /README\.md, "What the cluster must have"/,
  )
})

test('doctor: a rotation that has not come to its end', () => {
  one(
    judgeCluster(facts({ oldPasswords: ['KGC_DB_PASSWORD of kgc-db'] })).slice(1),
    'warning',
    /an older KGC_DB_PASSWORD of kgc-db is let in, too/,
    /deploy\.ts staging/,
  )
})

test('doctor: network, rights, and an overlay that cannot be built', () => {
  silent(judgePolicies(facts()))
  one(
    judgePolicies(facts({ daemonSets: [object('DaemonSet', 'kube-proxy')] })),
    'info',
    /NetworkPolicies/,
  )
  silent(judgePermissions(facts()))
  const poor = judgePermissions(
    facts({ missingPermissions: ['patch deployments.apps', 'create pods/exec'] }),
  )
  one(
    poor,
    'error',
    /may not patch deployments\.apps, create pods\/exec/,
    /create token deployer -n kgc-staging/,
  )
  const found = judgeCluster(
    facts({
      overlay: undefined,
      buildError: { why: 'Build it: no such file', next: 'npx zx scripts/env.ts staging' },
    }),
  )
  one(
    found.filter(({ severity }) => severity === 'error'),
    'error',
    /no such file/,
    /env\.ts staging/,
  )
})

test('doctor: rights are read off the overlay', () => {
  const network = { apiVersion: 'networking.k8s.io/v1' }
  const rights = listRequiredPermissions([
    object('Ingress', 'a', network),
    object('NetworkPolicy', 'b', network),
    object('Service', 'c', { apiVersion: 'v1' }),
  ])
  const some = [
    'patch ingresses.networking.k8s.io',
    'create networkpolicies.networking.k8s.io',
    'get services',
    'create pods/exec',
  ]
  for (const right of some) assert.ok(rights.includes(right), right)
  assert.equal([...new Set(rights)], rights)
})

/** What the first role in a folder of infra/k8s/cluster grants. */
function readRole(folder: string): string[] {
  type Rule = { apiGroups: string[]; resources: string[]; verbs: string[] }
  const [role] = parseAllDocuments(
    readFileSync(join(repository, 'infra/k8s/cluster', folder, 'role.yaml'), 'utf8'),
  ).map(one => one.toJS() as { rules: Rule[] })
  return role!.rules.flatMap(({ apiGroups: [group], resources, verbs }) =>
    resources.flatMap(resource => {
      const [name, ...subresource] = resource.split('/')
      return verbs.map(
        verb =>
          `${verb} ${[[name, ...(group ? [group] : [])].join('.'), ...subresource].join('/')}`,
      )
    }),
  )
}

test('who takes backups may do what a backup asks for, and no more than read beside it; a deployer may restore', () => {
  const granted = readRole('backup')
  assert.equal(
    backupPermissions.filter(right => !granted.includes(right)),
    [],
  )
  const changes = granted.filter(right => !/^(get|list) /.test(right))
  assert.equal(
    changes.filter(right => !backupPermissions.includes(right)),
    [],
  )
  assert.equal(
    restorePermissions.filter(right => !readRole('deployer').includes(right)),
    [],
  )
})

test("the deployer's role grants what a deploy asks for, and names nothing else", () => {
  const folders = ['base', 'components', 'overlays'].map(name =>
    join(repository, 'infra/k8s', name),
  )
  const files = folders.flatMap(folder =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(name => join(folder, name)),
  )
  const texts = files.filter(name => name.endsWith('.yaml')).map(name => readFileSync(name, 'utf8'))
  const kinds = texts
    .flatMap(text => [...text.matchAll(/^apiVersion: (.+)\nkind: (\w+)$/gm)])
    .filter(([, apiVersion]) => !/kustomize|^builtin$/.test(apiVersion!))
  const rights = listRequiredPermissions([
    ...kinds.map(([, apiVersion, kind]) => object(kind!, 'a', { apiVersion })),
    object('ConfigMap', 'a', { apiVersion: 'v1' }),
  ])
  const granted = readRole('deployer')
  assert.equal(
    rights.filter(right => !granted.includes(right)),
    [],
  )
  const asked = new Set(rights.map(right => right.split(' ')[1]))
  assert.equal(
    granted.filter(right => !asked.has(right.split(' ')[1])),
    [],
  )
})

test('doctor: backups of an environment are late, have failed, or are not known at all', () => {
  silent(judgeEnvironmentBackups(facts()))
  silent(judgeEnvironmentBackups(facts({ backupMetrics: undefined })))
  one(judgeEnvironmentBackups(facts({ backupMetrics: [] })), 'info', /none of staging is known/)
  const { environment } = facts()
  const demo = { ...environment, disposable: true }
  silent(judgeEnvironmentBackups(facts({ backupMetrics: [], environment: demo })))
  const judged = (hours: Record<string, number | undefined>, isGood = true) =>
    judgeEnvironmentBackups(facts({ backupMetrics: [backupsOf(hours, isGood)] }))
  const command = /backup\.ts staging --to/
  one(judged({ kgc: 1, chatwoot: 50 }), 'warning', /^chatwoot: .* is 2 days old/, command)
  one(judged({ kgc: undefined }), 'warning', /^kgc: there is no good one/, command)
  one(judged({ kgc: 1 }, false), 'warning', /the last try made no good one/, command)
})

test('doctor: what it installs is what the README names', () => {
  const readme = readFileSync(join(repository, 'infra/k8s/README.md'), 'utf8')
  const found = [
    ...judgeStorage(facts({ storageClasses: [] })),
    ...judgeMetrics(facts({ apiServices: [] })),
    ...judgeSealing(facts({ crds: [] })),
  ]
  assert.is(found.length, 3)
  for (const { next } of found) assert.match(readme, /https:\S+/.exec(next)![0])
})

// the edge

test('the edge connects where it is told, and keeps the name', async () => {
  const server = createServer((request, response) =>
    response.end(`${request.headers.host} ${request.url}`),
  ).listen(0, '127.0.0.1')
  await new Promise(done => server.once('listening', done))
  const { port } = server.address() as AddressInfo
  const { body } = await edgeAt({ http: `127.0.0.1:${port}` }, false).get(
    'http://app.kgc.invalid/a?b=1',
  )
  assert.is(body, 'app.kgc.invalid /a?b=1')
  const lost = await edgeAt({}, false)
    .get('http://app.kgc.invalid/')
    .catch((error: Error) => error.message)
  assert.match(String(lost), /ENOTFOUND|EAI_AGAIN/)
  server.close()
})

test.run()
