// Why pods fail, on small objects: the words of registries and nodes that recordings lack.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { workloadHealth } from '../../scripts/lib/smoke/workload-health.ts'
import { adviseOnPull } from '../../scripts/lib/images/missing.ts'
import { workloadStatus, type ClusterSnapshot } from '../../scripts/lib/rollout/workload.ts'

type Json = any
const test = suite('pod failures')

const begin = Date.parse('2026-11-01T12:00:00Z')
const time = (seconds: number) => new Date(begin + seconds * 1000).toISOString()
const empty: ClusterSnapshot = { workloads: [], pods: [], replicaSets: [], events: [], jobs: [] }
const revision = { 'deployment.kubernetes.io/revision': '1' }

const deployment: Json = {
  kind: 'Deployment',
  metadata: { name: 'web', uid: 'web', generation: 1, annotations: revision },
  spec: { replicas: 1, selector: { matchLabels: { app: 'web' } }, progressDeadlineSeconds: 120 },
  status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1 },
}
const replicaSet: Json = {
  kind: 'ReplicaSet',
  metadata: {
    name: 'web-1',
    uid: 'web-1',
    annotations: revision,
    ownerReferences: [{ uid: 'web' }],
  },
}
const image = 'ghcr.io/kgc/web:1'
const podOf = (owner: string, name: string, status: object, container: object = {}): Json => ({
  kind: 'Pod',
  metadata: {
    name,
    uid: name,
    creationTimestamp: time(0),
    labels: { app: 'web' },
    ownerReferences: [{ uid: owner }],
  },
  spec: { restartPolicy: 'Never', containers: [{ name: 'main', image, ...container }] },
  status: { phase: 'Pending', startTime: time(0), ...status },
})
/** The verdict on a Deployment with these pods, so many seconds after the change began. */
const after = (seconds: number, pods: Json[], more: Partial<ClusterSnapshot> = {}) =>
  workloadStatus(
    deployment,
    { ...empty, replicaSets: [replicaSet], pods, ...more },
    begin + seconds * 1000,
    begin,
  )

const pulls = (message: string) => [
  podOf('web-1', 'web-1-a', {
    containerStatuses: [
      { name: 'main', restartCount: 0, state: { waiting: { reason: 'ErrImagePull', message } } },
    ],
  }),
]

/** What containerd and registries say, what that means, and whether it is certain at once. */
const said: [message: string, likely: RegExp, atOnce: boolean][] = [
  [
    'unexpected status from HEAD request to https://registry-1.docker.io/v2/library/redis/manifests/7: 429 Too Many Requests',
    /too many requests.*pull secret/,
    false,
  ],
  ['toomanyrequests: You have reached your pull rate limit.', /too many requests/, false],
  [
    'failed to extract layer sha256:1: write /var/lib/containerd/x: no space left on device',
    /disk of the node is full/,
    false,
  ],
  ['failed to register layer: write /a: disk quota exceeded', /disk of the node is full/, false],
  [
    'tls: failed to verify certificate: x509: certificate signed by unknown authority',
    /does not trust the registry's certificate/,
    true,
  ],
  [
    'x509: certificate is valid for a.kgc.hu, not r.kgc.hu',
    /does not trust the registry's certificate/,
    true,
  ],
  ['http: server gave HTTP response to HTTPS client', /plain HTTP/, true],
  [
    'x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before 2026-01-01T00:00:00Z',
    /clock of the node/,
    false,
  ],
  [
    'proxyconnect tcp: Proxy Authentication Required',
    /proxy between the node and the registry/,
    true,
  ],
  [
    'proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused',
    /proxy between the node and the registry/,
    false,
  ],
  ['dial tcp: lookup ghcr.io on 10.0.0.2:53: no such host', /cannot resolve/, false],
  ['unexpected status from GET request: 502 Bad Gateway', /registry itself fails/, false],
  [
    'failed commit on ref "layer-sha256:1": unexpected commit digest sha256:2, expected sha256:1',
    /other than what its digest says/,
    false,
  ],
  ['403 Forbidden', /refuses the cluster/, false],
  ['manifest unknown', /not in its registry/, false],
  ['no match for platform in manifest: not found', /this node's processor/, true],
  ['dial tcp 140.82.121.34:443: i/o timeout', /does not answer the node/, false],
]

test('jenkinsci/helm-charts#1586, namespacelabs/foundation#846: what a registry or the node said is called what it is', () => {
  for (const [message, likely, atOnce] of said) {
    const { state, cause } = after(61, pulls(message))
    assert.is(state, 'failed', message)
    assert.match(cause!.likely, likely)
    assert.is(cause!.message, message)
    assert.is(after(2, pulls(message)).state, atOnce ? 'failed' : 'waiting', message)
  }
})

test('namespacelabs/foundation#846: a tag or a name that looks like an answer is none', () => {
  const message =
    'failed to pull "r.kgc.hu/429/rate-x509:507": dial tcp 10.0.0.1:443: connect: connection refused'
  assert.match(after(61, pulls(message)).cause!.likely, /does not answer the node/)
})

test('jenkinsci/helm-charts#1586: on one machine the same words lead to what helps there', () => {
  const hub = 'redis:7'
  assert.match(adviseOnPull('Proxy Authentication Required', hub), /HTTPS_PROXY.*docker/)
  assert.match(
    adviseOnPull('x509: certificate has expired or is not yet valid', hub),
    /^timedatectl/,
  )
  assert.match(
    adviseOnPull('http: server gave HTTP response to HTTPS client', 'r.kgc.hu/a:1'),
    /insecure-registries/,
  )
})

test('aws/amazon-vpc-cni-k8s#59, containernetworking/cni#777: a pod whose network cannot be set up is named before the deadline', () => {
  const scheduled = { type: 'PodScheduled', status: 'True' }
  const pod = podOf('web-1', 'web-1-a', {
    conditions: [scheduled],
    containerStatuses: [
      { name: 'main', restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } },
    ],
  })
  const says = (message: string, seconds: number, phase = 'Pending') => {
    const event: Json = {
      kind: 'Event',
      metadata: { name: 'e' },
      reason: 'FailedCreatePodSandBox',
      message,
      firstTimestamp: time(1),
      lastTimestamp: time(seconds),
      involvedObject: { uid: 'web-1-a' },
    }
    return after(seconds, [{ ...pod, status: { ...pod.status, phase } }], { events: [event] })
  }
  const full =
    'plugin type="aws-cni" failed (add): add cmd: failed to assign an IP address to container'
  assert.is(says(full, 30).state, 'waiting')
  assert.match(says(full, 30).detail, 'failed to assign an IP address')
  const { state, cause } = says(full, 62)
  assert.equal([state, cause!.reason], ['failed', 'FailedCreatePodSandBox'])
  assert.match(cause!.likely, /no address left/)
  const broken = 'network: open /run/flannel/subnet.env: no such file or directory'
  assert.match(says(broken, 62).cause!.likely, /plug-in fails or does not run/)
  assert.is(says(full, 62, 'Running').state, 'waiting', 'it is over')
})

const jobOf = (spec: object, condition: object): Json => ({
  kind: 'Job',
  metadata: { name: 'migrate', uid: 'migrate', creationTimestamp: time(0) },
  spec,
  status: {
    startTime: time(0),
    conditions: [{ status: 'True', lastTransitionTime: time(12), ...condition }],
  },
})
const jobAfter = (seconds: number, job: Json, pods: Json[]) =>
  workloadStatus(job, { ...empty, jobs: [job], pods }, begin + seconds * 1000, begin)

test('different-ai/openwork#4753, flexprice/flexprice#2694: a Job that is cut off says after how long, and whose log tells', () => {
  const late = {
    type: 'Failed',
    reason: 'DeadlineExceeded',
    message: 'Job was active longer than specified deadline',
  }
  const running = { name: 'main', restartCount: 0, state: { running: { startedAt: time(1) } } }
  const pod = podOf('migrate', 'migrate-a', { phase: 'Running', containerStatuses: [running] })
  pod.metadata.deletionTimestamp = time(42)
  for (const type of ['Failed', 'FailureTarget']) {
    const job = jobOf({ activeDeadlineSeconds: 12 }, { ...late, type })
    const { cause } = jobAfter(13, job, [pod])
    assert.match(cause!.message, /longer than specified deadline \(12 s\)$/)
    assert.match(cause!.likely, /activeDeadlineSeconds/)
    assert.equal([cause!.pod, cause!.container], ['migrate-a', 'main'])
    assert.match(cause!.next, /^kubectl logs migrate-a --container main$/)
  }
  const gone = jobAfter(13, jobOf({ activeDeadlineSeconds: 12 }, late), [])
  assert.match(gone.cause!.message, /\(12 s\)$/)
  assert.is(gone.cause!.pod, '')
})

test('makeplane/helm-charts#112: a Job that ends for want of memory says so, as every other pod', () => {
  const failed = {
    type: 'Failed',
    reason: 'BackoffLimitExceeded',
    message: 'Job has reached the specified backoff limit',
  }
  const ends = (exitCode: number, reason: string, more: object = {}) => {
    const terminated = { exitCode, reason, startedAt: time(1), finishedAt: time(9), ...more }
    const status = { name: 'main', restartCount: 0, state: { terminated } }
    const limit = { resources: { limits: { memory: '1Gi' } } }
    return jobAfter(13, jobOf({}, failed), [
      podOf('migrate', 'migrate-a', { phase: 'Failed', containerStatuses: [status] }, limit),
    ]).cause!
  }
  assert.match(ends(137, 'OOMKilled').likely, /^it needs more memory than its limit of 1Gi$/)
  assert.match(ends(137, 'Error').likely, /^it was killed, most likely.*its limit of 1Gi$/)
  assert.match(ends(139, 'Error').likely, /^the program crashed/)
  assert.match(ends(127, 'Error').likely, /^its command is not in the image/)
  assert.match(
    ends(128, 'StartError', { message: 'exec: "npx": executable file not found in $PATH' }).likely,
    /^its command is not in the image/,
  )
  assert.match(ends(1, 'Error').likely, /^the job itself has failed, and its log says why$/)
})

const full =
  'Usage of EmptyDir volume "tmp" exceeds the limit "16Mi". Container main was using 20Mi'
const evicted = (name: string, message = full, owner = 'web-1') =>
  podOf(owner, name, { phase: 'Failed', reason: 'Evicted', message })

test('kubernetes/kubernetes#80348, akash-network/support#275: an evicted pod is named; a single one is waited for', () => {
  const pending = podOf('web-1', 'web-1-b', {})
  const once = after(30, [evicted('web-1-a'), pending])
  assert.is(once.state, 'waiting')
  assert.match(once.detail, /Evicted: Usage of EmptyDir volume/)
  const { state, cause } = after(130, [evicted('web-1-a'), pending])
  assert.is(state, 'failed')
  assert.is(cause!.reason, 'Evicted')
  assert.match(cause!.message, /^Usage of EmptyDir volume "tmp" exceeds the limit "16Mi"/)
  assert.match(cause!.likely, /writes more than/)
  assert.is(cause!.pod, 'web-1-a')
})

test('akash-network/support#275: what fills its own limit twice will do so again; a node in need may pass', () => {
  const twice = (message: string) =>
    after(30, [evicted('web-1-a', message), evicted('web-1-b', message), podOf('web-1', 'c', {})])
  assert.is(twice(full).state, 'failed')
  assert.is(
    twice('Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ').state,
    'failed',
  )
  const low = 'The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi.'
  assert.is(twice(low).state, 'waiting')
  const late = after(130, [evicted('web-1-a', low), podOf('web-1', 'c', {})])
  assert.match(late.cause!.likely, /the node ran out of memory/)
  const before = evicted('web-1-a')
  before.metadata.creationTimestamp = before.status.startTime = time(-600)
  const old = after(130, [before, podOf('web-1', 'c', {})])
  assert.is(old.cause!.reason, 'DeadlineExceeded', 'one of before the change says nothing of it')
})

test('akash-network/support#275: of a StatefulSet, which removes a failed pod, the events tell', () => {
  const set: Json = {
    ...deployment,
    kind: 'StatefulSet',
    metadata: { name: 'db', uid: 'db', generation: 1 },
    status: { ...deployment.status, updateRevision: '1' },
  }
  const event = (pod: string, at: number): Json => ({
    kind: 'Event',
    metadata: { name: `${pod}.${at}` },
    reason: 'Evicted',
    message: full,
    lastTimestamp: time(at),
    involvedObject: { kind: 'Pod', name: pod, uid: `${pod}-${at}` },
  })
  const stands = (...events: Json[]) =>
    workloadStatus(set, { ...empty, workloads: [set], events }, begin + 30_000, begin).state
  assert.is(stands(event('db-0', 5), event('db-0', 20)), 'failed')
  assert.is(stands(event('db-0', 5)), 'waiting')
  assert.is(stands(event('db-0', -20), event('db-0', 20)), 'waiting', 'one was before the change')
  assert.is(stands(event('db-backup-0', 5), event('db-backup-0', 20)), 'waiting', 'of another')
})

test('kubernetes/kubernetes#80348: a Job whose pod was evicted says so, and so does the smoke test', () => {
  const failed = { type: 'Failed', reason: 'BackoffLimitExceeded', message: 'backoff limit' }
  const { cause } = jobAfter(13, jobOf({}, failed), [evicted('migrate-a', full, 'migrate')])
  assert.match(cause!.message, /Evicted: Usage of EmptyDir/)
  assert.match(cause!.likely, /writes more than/)
  const observed = {
    workloads: [deployment],
    pods: [evicted('web-1-a')],
    events: [],
    now: begin + 30_000,
  }
  assert.match(workloadHealth(deployment, [], observed).detail, /Evicted: Usage of EmptyDir/)
})

test.run()
