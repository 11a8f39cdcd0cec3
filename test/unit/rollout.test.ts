// The failure table on recorded objects (test/cluster/record-failures.ts makes them): every row
// fires on its recording, at the right time, and on nothing else.
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Failure, exit } from '../../scripts/lib/errors.ts'
import type { Environment } from '../../scripts/lib/kubernetes/environment.ts'
import { collectFailureLogs } from '../../scripts/lib/rollout/logs.ts'
import type { FailureCause, WorkloadStatus } from '../../scripts/lib/rollout/status.ts'
import { watchRollout, type RolloutWatchOptions } from '../../scripts/lib/rollout/watch.ts'
import { workloadStatus, type ClusterSnapshot } from '../../scripts/lib/rollout/workload.ts'
import { kubeconfigOf, playProxy } from './fake-kubectl.ts'

type Json = any
type Moment = ClusterSnapshot & { now: number }
const test = suite('rollout')

const text = (name: string) =>
  readFileSync(join(import.meta.dirname, '../fixtures/rollout', `${name}.json`), 'utf8')
const load = (name: string): { since: number; moments: Moment[] } => JSON.parse(text(name))
const own = (name: string, { workloads, jobs }: ClusterSnapshot): Json[] =>
  [...workloads, ...jobs].filter(({ metadata }) => metadata.name === name)
/** The verdict on the last moment of a recording, or on another, after a change to it. */
function verdict(
  name: string,
  change: (
    moment: Moment & { deployment: Json; pod: Json; container: Json; since: number },
  ) => void = () => {},
  index = -1,
): WorkloadStatus {
  const { since, moments } = load(name)
  const moment = Object.assign(moments.at(index)!, { since })
  const pod = moment.pods.find(({ metadata }) => metadata.name.startsWith(name))
  const container = pod?.status.initContainerStatuses?.[0] ?? pod?.status.containerStatuses?.[0]
  const all = Object.assign(moment, { deployment: own(name, moment)[0], pod, container })
  change(all)
  return workloadStatus(all.deployment, all, all.now, all.since)
}
const state = (...args: Parameters<typeof verdict>) => verdict(...args).state

/**
 * Recording, reason, what it says, what it most likely means, the next command; and how many ms
 * earlier it was not a failure yet; how many
 * ms after the recording it is one. */
const table: [
  string,
  {
    reason: string
    exitCode?: number
    message: RegExp
    likely: RegExp
    next: RegExp
    before?: number
    after?: number
  },
][] = [
  [
    'image-missing',
    {
      reason: 'ErrImagePull',
      message: /not found/,
      likely: /never-pushed` is not in its registry/,
      next: /^docker buildx imagetools inspect 127/,
      before: 15_000,
      after: 60_000,
    },
  ],
  [
    'image-denied',
    {
      reason: 'ImagePullBackOff',
      message: /authorization failed|401/,
      likely: /refuses the cluster/,
      next: /secrets$/,
      before: 40_000,
      after: 60_000,
    },
  ],
  [
    'image-name',
    {
      reason: 'InvalidImageName',
      message: /must be lowercase/,
      likely: /not a valid image name/,
      next: /describe pod image-name-/,
    },
  ],
  [
    'image-never',
    {
      reason: 'ErrImageNeverPull',
      message: /not present/,
      likely: /imagePullPolicy: Never/,
      next: /describe pod/,
    },
  ],
  [
    'secret-key',
    {
      reason: 'CreateContainerConfigError',
      message: /couldn't find key/,
      likely: /^the Secret half-secrets has no key DB_PASSWORD/,
      next: /^kubectl describe secret half-secrets$/,
      before: 4_000,
    },
  ],
  [
    'secret-missing',
    {
      reason: 'CreateContainerConfigError',
      message: /not found/,
      likely: /^the Secret unsealed-secrets is not there/,
      next: /sealedsecrets/,
      before: 4_000,
    },
  ],
  [
    'configmap-missing',
    {
      reason: 'CreateContainerConfigError',
      message: /not found/,
      likely: /^the ConfigMap absent-config is not there/,
      next: /configmaps/,
      before: 4_000,
    },
  ],
  [
    'crash',
    {
      reason: 'CrashLoop',
      exitCode: 3,
      message: /ended 3 times.*exit 3/,
      likely: /its log says why/,
      next: /^kubectl logs crash-\S+ --container main --previous$/,
    },
  ],
  [
    'crash-late',
    {
      reason: 'CrashLoop',
      exitCode: 4,
      message: /ended 2 times.*exit 4 after 2\d s/,
      likely: /its log says why/,
      next: /--previous/,
    },
  ],
  [
    'crash-init',
    {
      reason: 'CrashLoop',
      exitCode: 5,
      message: /exit 5/,
      likely: /its log says why/,
      next: /--container prepare/,
    },
  ],
  [
    'crash-set',
    {
      reason: 'CrashLoop',
      exitCode: 1,
      message: /exit 1/,
      likely: /its log says why/,
      next: /logs crash-set-0/,
    },
  ],
  [
    'command',
    {
      reason: 'CrashLoop',
      exitCode: 128,
      message: /ended 2 times.*no such file/,
      likely: /command is not in the image/,
      next: /describe pod/,
    },
  ],
  [
    'memory',
    {
      reason: 'CrashLoop',
      exitCode: 137,
      message: /ended 2 times.*exit 137/,
      likely: /more memory than its limit of 32Mi/,
      next: /logs memory/,
    },
  ],
  [
    'ends',
    {
      reason: 'CrashLoop',
      exitCode: 0,
      message: /exit 0/,
      likely: /should keep running/,
      next: /logs/,
    },
  ],
  [
    'liveness',
    {
      reason: 'CrashLoop',
      exitCode: 137,
      message: /exit 137/,
      likely:
        /liveness probe fails.*GET \/health\/live on port 8080: HTTP probe failed with statuscode: 503/,
      next: /logs/,
    },
  ],
  [
    'job',
    {
      reason: 'BackoffLimitExceeded',
      exitCode: 7,
      message: /exit 7/,
      likely: /its log says why/,
      next: /logs job-\S+ --container migrate$/,
    },
  ],
  [
    'quota',
    {
      reason: 'FailedCreate',
      message: /exceeded quota: room/,
      likely: /quota/,
      next: /describe resourcequotas/,
      before: 5_000,
    },
  ],
  [
    'quota-set',
    {
      reason: 'FailedCreate',
      message: /exceeded quota: seats/,
      likely: /quota/,
      next: /describe resourcequotas/,
      before: 5_000,
    },
  ],
  [
    'unschedulable',
    {
      reason: 'Unschedulable',
      message: /Insufficient cpu/,
      likely: /no node has enough free resources/,
      next: /describe nodes/,
      before: 5_000,
    },
  ],
  [
    'mount',
    {
      reason: 'FailedMount',
      message: /secret "absent-files" not found/,
      likely: /^the Secret absent-files is not there/,
      next: /get secrets/,
      before: 5_000,
    },
  ],
  [
    'probe',
    {
      reason: 'ProbeFails',
      message: /readiness probe GET \/health\/ready on port 8080: .*503 \(not ready within 40 s\)/,
      likely: /does not answer its probe/,
      next: /logs probe-/,
    },
  ],
]

for (const [name, { before, after = 0, message, likely, next, ...wanted }] of table)
  test(`${name}: named when it is certain, and not before`, () => {
    const { since, moments } = load(name)
    const { state: last, cause } = verdict(name, moment => (moment.now += after))
    assert.is(last, 'failed')
    assert.equal(
      { reason: cause!.reason, ...('exitCode' in cause! ? { exitCode: cause.exitCode } : {}) },
      wanted,
    )
    for (const [key, pattern] of Object.entries({ message, likely, next }))
      assert.match(cause![key as 'message'], pattern)
    assert.is(cause!.name, name)
    for (const moment of moments.slice(0, -1))
      for (const one of own(name, moment))
        assert.is.not(workloadStatus(one, moment, moment.now, since).state, 'failed')
    if (before)
      assert.is(
        state(name, moment => (moment.now += after - before)),
        'waiting',
      )
  })

test('what is well is ready in the end, and never called failed', () => {
  for (const name of ['healthy', 'slow']) {
    const { since, moments } = load(name)
    for (const moment of moments)
      for (const one of own(name, moment))
        assert.is.not(workloadStatus(one, moment, moment.now, since).state, 'failed', name)
    for (const one of own(name, moments.at(-1)!))
      assert.is(
        workloadStatus(one, moments.at(-1)!, moments.at(-1)!.now, since).state,
        'ready',
        `${name} ${one.kind}`,
      )
  }
})

test('a failing probe is told long before it is a failure, with its path and answer', () => {
  const { state, detail } = verdict('probe', () => {}, -2)
  assert.is(state, 'waiting')
  assert.match(
    detail,
    'readiness probe GET /health/ready on port 8080: HTTP probe failed with statuscode: 503',
  )
})

test('pods of an older version do not count, nor does one that is on its way out, evicted or lost', () => {
  const older = (moment: Json) => {
    moment.deployment.metadata.annotations['deployment.kubernetes.io/revision'] = '2'
    return moment
  }
  assert.is(state('image-missing', older), 'waiting', 'the new ReplicaSet is not there yet')
  const replaced = verdict('image-missing', moment => {
    const { replicaSets } = older(moment)
    const { metadata } = replicaSets[0]
    replicaSets.push({
      ...replicaSets[0],
      metadata: {
        ...metadata,
        uid: 'new',
        annotations: { 'deployment.kubernetes.io/revision': '2' },
      },
    })
  })
  assert.is(replaced.state, 'waiting')
  assert.is(
    state('crash-set', ({ deployment }) => (deployment.status.updateRevision = 'another')),
    'waiting',
  )
  assert.is(
    state('crash', ({ pod }) => (pod.metadata.deletionTimestamp = '2026-01-01T00:00:00Z')),
    'waiting',
  )
  assert.is(
    state('crash', ({ pod }) => Object.assign(pod.status, { phase: 'Failed', reason: 'Evicted' })),
    'waiting',
  )
  assert.is(
    state('crash', ({ container }) =>
      container.state.terminated
        ? (container.state.terminated.reason = 'ContainerStatusUnknown')
        : (container.lastState.terminated.reason = 'ContainerStatusUnknown'),
    ),
    'waiting',
  )
})

test('a change that the controller has not taken up is waited for', () => {
  assert.is(
    state('healthy', ({ deployment }) => deployment.metadata.generation++),
    'waiting',
  )
})

test('the faults of a node or of a cache are waited for', () => {
  assert.is(
    state(
      'command',
      ({ container }) =>
        (container.lastState.terminated.message =
          'failed to create shim task: context deadline exceeded'),
    ),
    'waiting',
  )
  assert.is(
    state(
      'secret-key',
      ({ container }) =>
        (container.state.waiting.message =
          'failed to sync secret cache: timed out waiting for the condition'),
    ),
    'waiting',
  )
  const cache = (event: Json) =>
    (event.message =
      'MountVolume.SetUp failed for volume "files" : failed to sync secret cache: timed out')
  assert.is(
    state('mount', ({ events }) => events.forEach(cache)),
    'waiting',
  )
})

test('room that is being made is waited for', () => {
  assert.is(
    state('unschedulable', ({ pod }) => (pod.status.nominatedNodeName = 'node')),
    'waiting',
  )
  const scaling = verdict('unschedulable', ({ events, pod, now }) =>
    events.push({
      kind: 'Event',
      metadata: { name: 'e' },
      reason: 'TriggeredScaleUp',
      message: '',
      lastTimestamp: new Date(now).toISOString(),
      involvedObject: { uid: pod.metadata.uid },
    } as Json),
  )
  assert.is(scaling.state, 'waiting')
})

/** A moment at which one pod of three finds no room, or may not be made, and the two others are ready. */
function surplus(
  name: 'unschedulable' | 'quota',
  change: (moment: Moment & { deployment: Json; ready: Json[] }) => void = () => {},
) {
  const { since, moments } = load(name)
  const moment = moments.at(-1)!
  const [deployment] = own(name, moment)
  const [owner] = moment.replicaSets.filter(({ metadata }) => metadata.name.startsWith(name))
  const time = new Date(since - 60_000).toISOString()
  const ready: Json[] = ['a', 'b'].map(one => ({
    kind: 'Pod',
    metadata: { name: one, uid: one, ownerReferences: [{ uid: (owner!.metadata as Json).uid }] },
    spec: { containers: [{ name: 'main' }] },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time }],
      containerStatuses: [],
    },
  }))
  const replicas = name === 'quota' ? 2 : 3
  deployment.spec.replicas = 3
  Object.assign(deployment.status, {
    replicas,
    updatedReplicas: replicas,
    readyReplicas: 2,
    availableReplicas: 2,
  })
  moment.pods.push(...ready)
  change(Object.assign(moment, { deployment, ready }))
  return (least?: number) => workloadStatus(deployment, moment, moment.now, since, least)
}

test('a pod beyond the least of what the change leaves alone may find no room', () => {
  for (const name of ['unschedulable', 'quota'] as const) {
    const judged = surplus(name)
    assert.is(judged().state, 'failed', 'the change has touched it')
    assert.is(judged(3).state, 'failed', 'all are needed')
    assert.is(judged(2).state, 'ready', name)
    assert.match(judged(2).detail, /^2 ready, and no more are needed \(2 of 3/)
    const { since, moments } = load(name)
    assert.is(
      judged(2).readySinceMs,
      Math.floor(since) - 60_000,
      `${moments.length} moments: since those that serve have`,
    )
  }
  const one = (change: Parameters<typeof surplus>[1]) => surplus('unschedulable', change)(2).state
  assert.is(
    one(({ ready }) => (ready[0].status.conditions[0].status = 'False')),
    'failed',
    'one of the least is not ready',
  )
  assert.is(
    one(({ deployment }) => (deployment.status.replicas = 4)),
    'failed',
    'one of another version is there',
  )
  assert.is(
    one(({ ready }) => (ready[0].metadata.deletionTimestamp = '2026-01-01T00:00:00Z')),
    'failed',
    'one goes',
  )
  const crashes = ({ ready, now }: Json) => {
    const ended = {
      exitCode: 1,
      startedAt: new Date(now).toISOString(),
      finishedAt: new Date(now).toISOString(),
    }
    ready[0].status.containerStatuses = [
      { name: 'main', restartCount: 5, state: { terminated: ended } },
    ]
  }
  assert.is(one(crashes), 'failed', 'what has another fault fails')
})

test('a StatefulSet that recreates a lost pod has not failed', () => {
  const { since, moments } = load('healthy')
  const moment = moments.at(-1)!
  const set: Json = moment.workloads.find(({ kind }) => kind === 'StatefulSet')
  moment.events.push({
    kind: 'Event',
    metadata: { name: 'e' },
    type: 'Warning',
    reason: 'RecreatingFailedPod',
    message: 'StatefulSet is recreating failed Pod',
    lastTimestamp: new Date(moment.now).toISOString(),
    involvedObject: { uid: set.metadata.uid },
  } as Json)
  assert.is(workloadStatus(set, moment, moment.now + 60_000, since).state, 'ready')
})

test('what has ended and is ready again is believed once it has lived longer than the last time', () => {
  const { since, moments } = load('crash-late')
  const again = moments.find(
    ({ workloads: [one], pods: [pod] }) =>
      (one as Json).status.availableReplicas === 1 &&
      (pod as Json).status.containerStatuses[0].restartCount === 1,
  )!
  const { startedAt } = (again.pods[0] as Json).status.containerStatuses[0].state.running
  const after = (seconds: number) =>
    workloadStatus(again.workloads[0]!, again, Date.parse(startedAt) + seconds * 1000, since).state
  assert.equal([after(2), after(20), after(30)], ['waiting', 'waiting', 'ready'])
})

test('what is unready for a moment is waited for', () => {
  const found = verdict('healthy', ({ deployment, pod }) => {
    Object.assign(deployment.status, { readyReplicas: 0, availableReplicas: 0 })
    pod.status.conditions.find(({ type }: Json) => type === 'Ready').status = 'False'
  })
  assert.is(found.state, 'waiting')
})

test('restarts from before the change do not count', () => {
  assert.is(
    state('crash', moment => (moment.since = moment.now + 1000)),
    'waiting',
  )
  assert.is(
    state('crash', moment => (moment.restarts = { [`${moment.pod.metadata.uid} main`]: 1 })),
    'waiting',
  )
})

test('Shopify/krane#819, docker/build-push-action#463: a registry that denies for a moment ends nothing', () => {
  const denied =
    'failed to pull and unpack image "ghcr.io/kgc/api:1": unexpected status from HEAD request: 403 Forbidden'
  for (const message of [
    denied,
    denied.replace('403 Forbidden', '404 Not Found'),
    denied.replace('403 Forbidden', '503 Service Unavailable'),
  ]) {
    const says = (change: (moment: Json) => void) =>
      state('image-missing', moment => {
        Object.assign(moment.container.state.waiting, { reason: 'ErrImagePull', message })
        moment.events = []
        moment.now = Date.parse(moment.pod.status.startTime)
        change(moment)
      })
    assert.equal(
      [1, 59, 61].map(seconds => says(moment => (moment.now += seconds * 1000))),
      ['waiting', 'waiting', 'failed'],
      message,
    )
    // what runs before it has taken its time
    const later = says(moment => {
      const ended = { exitCode: 0, finishedAt: new Date(moment.now + 300_000).toISOString() }
      moment.pod.status.initContainerStatuses = [{ name: 'first', state: { terminated: ended } }]
      moment.now += 301_000
    })
    assert.is(later, 'waiting', message)
  }
  assert.is(state('image-name'), 'failed', 'what cannot heal is named at once')
})

test('a registry that does not answer has a minute', () => {
  const message = 'failed to do request: Head "https://ghcr.io/v2/": dial tcp: i/o timeout'
  const silent = (later: number) =>
    state('image-missing', moment => {
      moment.container.state.waiting.message = message
      moment.events = []
      moment.now += later
    })
  assert.is(silent(0), 'waiting')
  assert.is(silent(62_000), 'failed')
})

test('the node says that memory was the cause, where it notices', () => {
  const { cause } = verdict(
    'memory',
    ({ container }) =>
      ((container.state.terminated ?? container.lastState.terminated).reason = 'OOMKilled'),
  )
  assert.is(cause!.reason, 'OOMKilled')
  assert.match(cause!.likely, 'it needs more memory than its limit of 32Mi')
})

test('two exits are enough when the databases were ready all the time; three when they were not; while they are not, none', () => {
  const twice = (ready: number | undefined, restartCount = 1, lacking = false) => {
    const { since, moments } = load('crash')
    const moment = moments.at(-1)!
    const [deployment] = own('crash', moment)
    const pod: Json = moment.pods[0]
    const ended = {
      exitCode: 3,
      reason: 'Error',
      startedAt: new Date(moment.now).toISOString(),
      finishedAt: new Date(moment.now).toISOString(),
    }
    Object.assign(pod.status.containerStatuses[0], {
      restartCount,
      state: { terminated: ended },
      lastState: {},
    })
    if (ready !== undefined) {
      const healthy = load('healthy').moments.at(-1)!
      const set: Json = healthy.workloads.find(({ kind }) => kind === 'StatefulSet')
      const member: Json = healthy.pods.find(({ metadata }) => metadata.name === 'healthy-0')
      set.metadata.annotations = { 'kgc.hu/order': 'data' }
      if (lacking) set.status.readyReplicas = 0
      member.status.conditions.find(({ type }: Json) => type === 'Ready').lastTransitionTime =
        new Date(moment.now + ready).toISOString()
      moment.workloads.push(set)
      moment.pods.push(member)
    }
    return workloadStatus(deployment, moment, moment.now, since).state
  }
  assert.is(twice(-60_000), 'failed')
  assert.is(twice(1_000), 'waiting', 'a database became ready after its last start')
  assert.is(twice(undefined), 'waiting', 'no database is known')
  assert.is(twice(-60_000, 5, true), 'waiting', 'for want of a database')
})

test('a node that takes 40 s to pull an image has not used up the time of a service that waits for its database', () => {
  const twice = (started: boolean) =>
    state('crash', moment => {
      const { pod, container, now } = moment
      const time = (ms: number) => new Date(now + ms).toISOString()
      const ended = { exitCode: 3, reason: 'Error', startedAt: time(-1000), finishedAt: time(0) }
      moment.since = now - 50_000
      pod.status.startTime = time(-45_000)
      Object.assign(container, { restartCount: 1, state: { terminated: ended }, lastState: {} })
      const event = {
        kind: 'Event',
        type: 'Normal',
        reason: 'Started',
        message: 'Container started',
        firstTimestamp: time(-5000),
        lastTimestamp: time(-1000),
      }
      moment.events = started
        ? [{ ...event, metadata: { name: 'e' }, involvedObject: { uid: pod.metadata.uid } } as Json]
        : []
    })
  assert.is(twice(true), 'waiting')
  assert.is(twice(false), 'failed', 'where nothing is known of it the time counts from the pod')
})

test('what was not ready in time has failed, whatever the kind', () => {
  const { cause, state } = verdict('crash-set', moment => {
    moment.since = moment.now + 2000
    moment.now += 700_000
  })
  assert.is(state, 'failed')
  assert.is(cause!.reason, 'DeadlineExceeded')
})

// the watch and its evidence, on a kubectl that plays a recording
process.env.KUBECONFIG = kubeconfigOf('stage')
const box = mkdtempSync(join(tmpdir(), 'kgc-rollout-'))
process.once('exit', () => rmSync(box, { recursive: true, force: true }))
const environment: Environment = {
  name: 'test',
  folder: '',
  namespace: 'played',
  context: 'stage',
  edge: {},
  disposable: true,
  protected: false,
  stableSeconds: 0,
  sealedSecrets: { namespace: '', name: '' },
}
const answer = ({ workloads, jobs, pods, replicaSets, events }: ClusterSnapshot) =>
  JSON.stringify({ items: [...workloads, ...jobs, ...pods, ...replicaSets, ...events] })

/** kubectl answers a `get` of each resource with these one after the other, the last one again and again; a word in place of an answer is an error. */
async function play<T>(
  answers: string[],
  work: () => Promise<T>,
): Promise<{ value: T; said: string }> {
  for (const name of readdirSync(box)) rmSync(join(box, name))
  answers.forEach((text, i) => writeFileSync(join(box, String(i)), text))
  writeFileSync(
    join(box, 'kubectl'),
    `#!/bin/sh
${playProxy}
case "$*" in *--watch-only*) ;; *" logs "*--previous*) echo before ;; *" logs "*) echo now ;; *" get "*)
  of=\${*#* get }; of=${box}/count-\${of%% *}
  n=$(cat $of 2>/dev/null || echo 0); echo $((n + 1)) > $of
  [ $n -lt ${answers.length} ] || n=${answers.length - 1}
  case $(cat ${box}/$n) in {*) cat ${box}/$n ;; *) cat ${box}/$n >&2; exit 1 ;; esac
esac
`,
  )
  chmodSync(join(box, 'kubectl'), 0o755)
  const [path, write] = [process.env.PATH, process.stderr.write]
  let said = ''
  process.env.PATH = `${box}${delimiter}${path}`
  process.stderr.write = ((text: string) => Boolean((said += text))) as typeof write
  try {
    return {
      value: await work(),
      get said() {
        return said
      },
    }
  } finally {
    process.env.PATH = path
    process.stderr.write = write
  }
}
/** What a recording would show if it had begun now, or `age` ms ago. */
function today(name: string, age = 0): string[] {
  const shift = Date.now() - age - load(name).since
  const moved = text(name).replace(/"(\d{4}-\d\d-\d\dT[\d:.]+Z)"/g, (_, time) =>
    JSON.stringify(new Date(Date.parse(time) + shift).toISOString()),
  )
  return (JSON.parse(moved) as { moments: Moment[] }).moments.map(answer)
}
const look =
  (name: string, kind = 'Deployment', more: Partial<RolloutWatchOptions> = {}) =>
  () =>
    watchRollout({
      environment,
      names: [{ kind, name }],
      since: Date.now(),
      timeout: 20_000,
      stableMs: 0,
      ...more,
    })

test('watch: an API server that does not answer is waited for, and that is said', async () => {
  const { value, said } = await play(
    [
      'dial tcp 127.0.0.1:6443: connect: connection refused',
      'net/http: TLS handshake timeout',
      today('healthy').at(-1)!,
    ],
    look('healthy'),
  )
  assert.is(value.get('Deployment healthy')!.state, 'ready')
  assert.match(
    said,
    /does not answer \(The connection to the server 127.0.0.1:6443 was refused[^]*\)[^]*answers again, after/,
  )
})

test('watch: what it may not ask is an error at once', async () => {
  try {
    await play(['Error from server (Forbidden): pods is forbidden'], look('healthy'))
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, 'pods is forbidden')
  }
})

test('watch: ends at the first failure, with a command that can be copied', async () => {
  const { value, said } = await play(today('crash').slice(-2), look('crash'))
  const { cause } = value.get('Deployment crash')!
  assert.match(
    cause!.next,
    /^kubectl --context stage --namespace played logs crash-\S+ --container main --previous$/,
  )
  assert.match(said, /… Deployment crash[^]*✘ Deployment crash/)
})

test('watch: ends when its time is over or the lock is lost; all must stay ready', async () => {
  const [first] = today('probe')
  assert.is(
    (await play([first!], look('probe', 'Deployment', { timeout: 1 }))).value.get(
      'Deployment probe',
    )!.state,
    'waiting',
  )
  const lost = new Failure(exit.locked, 'Hold the lock', 'it was unlocked')
  try {
    await play([first!], look('probe', 'Deployment', { lossFailure: () => lost }))
    assert.unreachable()
  } catch (error) {
    assert.is(error, lost)
  }
  const [begun, ...rest] = today('healthy')
  const ready = rest.at(-1)!
  const flicker = await play(
    [ready, begun!, ready, 'connection refused', ready],
    look('healthy', 'StatefulSet', { stableMs: 1_500 }),
  )
  assert.is(flicker.value.get('StatefulSet healthy')!.state, 'ready')
  assert.is(flicker.said.match(/must stay so/g)!.length, 3)
})

test('watch: where nothing was applied, what the pods have stood counts', async () => {
  const watched = async (text: string, stableMs: number) => {
    const start = Date.now()
    const { value, said } = await play(
      [text],
      look('healthy', 'StatefulSet', { podsUndisturbed: true, stableMs }),
    )
    assert.is(value.get('StatefulSet healthy')!.state, 'ready')
    return { said, ms: Date.now() - start }
  }
  const old = today('healthy', 600_000).at(-1)!
  const stood = await watched(old, 30_000)
  assert.match(stood.said, /all has been ready for \d+ min \d\d s already/)
  assert.ok(stood.ms < 20_000, `${stood.ms} ms`)
  const started = new Date(Date.now() - 2_000).toISOString()
  const fresh = await watched(
    old.replace(/"startedAt":"[^"]+"/g, `"startedAt":"${started}"`),
    5_000,
  )
  assert.match(fresh.said, /must stay so for [1-4]\.\d s/)
})

test('watch: what the watch before it saw counts, unless one is not ready any more', async () => {
  const [begun, ...rest] = today('healthy')
  const ready = rest.at(-1)!
  const options = () => ({ stableMs: 5_000, readySince: Date.now() - 3_000 })
  const went = async (...answers: string[]) =>
    (await play(answers, look('healthy', 'StatefulSet', options()))).said
  assert.match(await went(ready), /must stay so for [12]\.\d s/)
  assert.match(await went(begun!, ready), /must stay so for (4\.\d|5\.0) s/)
})

test('watch: what is left alone needs no more than the least', async () => {
  const { deployment, pods, ...rest } = (() => {
    const moment = load('unschedulable').moments.at(-1)!
    return { ...moment, deployment: own('unschedulable', moment)[0] }
  })()
  const text = answer({ ...rest, workloads: [deployment], pods })
  const minReadyReplicas = new Map([['Deployment unschedulable', 0]])
  assert.is(
    (await play([text], look('unschedulable', 'Deployment', { minReadyReplicas }))).value.get(
      'Deployment unschedulable',
    )!.state,
    'ready',
  )
})

test('different-ai/openwork#4753: of a Job whose pod is gone at its deadline the log that was read before is shown', async () => {
  const pod: Json = {
    kind: 'Pod',
    metadata: { name: 'late-a', uid: 'p', ownerReferences: [{ uid: 'late' }] },
    spec: { restartPolicy: 'Never', containers: [{ name: 'main' }] },
    status: {
      phase: 'Running',
      containerStatuses: [{ name: 'main', restartCount: 0, state: { running: {} } }],
    },
  }
  const job = (conditions: object[]): Json => ({
    kind: 'Job',
    metadata: { name: 'late', uid: 'late' },
    spec: { activeDeadlineSeconds: 12 },
    status: { conditions },
  })
  const over = { type: 'Failed', status: 'True', reason: 'DeadlineExceeded', message: 'too long' }
  const none: ClusterSnapshot = { workloads: [], pods: [], replicaSets: [], events: [], jobs: [] }
  const { value } = await play(
    [answer({ ...none, jobs: [job([])], pods: [pod] }), answer({ ...none, jobs: [job([over])] })],
    look('late', 'Job', { since: Date.now() - 11_000 }),
  )
  const { cause } = value.get('Job late')!
  assert.equal([cause!.message, cause!.lastLogLine], ['too long (12 s)', 'its log: now'])
})

test('evidence: an event need not say anything', async () => {
  const { cause } = verdict('crash') as { cause: FailureCause }
  const { message, ...event } = load('crash')
    .moments.at(-1)!
    .events.find(({ involvedObject }) => involvedObject.name === cause.pod)!
  const { value } = await play(
    [answer({ workloads: [], jobs: [], pods: [], replicaSets: [], events: [event as Json] })],
    () => collectFailureLogs(cause, environment),
  )
  assert.match(value, new RegExp(`${event.reason}.*: $`))
})

test('evidence: both logs and the last events', async () => {
  const { cause } = verdict('crash') as { cause: FailureCause }
  const { value } = await play(
    [
      answer({
        workloads: [],
        jobs: [],
        pods: [],
        replicaSets: [],
        events: load('crash').moments.at(-1)!.events,
      }),
    ],
    () => collectFailureLogs(cause, environment),
  )
  assert.match(
    value,
    /log of main before its last restart, last 40 lines:\n {2}before\nlog of main, last 40 lines:\n {2}now\nlast events:\n {2}\d\d:\d\d:\d\d BackOff/,
  )
})

test.run()
