import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { podsOf, workloadHealth } from '../../scripts/lib/smoke/workload-health.ts'
import type {
  ClusterEvent,
  Job,
  Manifest,
  Pod,
  Workload,
} from '../../scripts/lib/kubernetes/objects.ts'
import { minReadyReplicas } from '../../scripts/lib/kubernetes/replicas.ts'

const test = suite('workload health')
const now = Date.parse('2026-11-29T12:00:00Z')
const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()

const object = (
  kind: string,
  name: string,
  rest: Record<string, unknown> = {},
  metadata = {},
): Manifest => ({ kind, metadata: { name, uid: name, ...metadata }, ...rest })

const deployment = object('Deployment', 'api', {
  spec: { replicas: 2, selector: { matchLabels: { app: 'api' } } },
})
function seen(change: Record<string, unknown>, replicas = 2, generation = 3) {
  const status = {
    observedGeneration: 3,
    replicas,
    updatedReplicas: replicas,
    readyReplicas: replicas,
    availableReplicas: replicas,
    ...change,
  }
  return object('Deployment', 'api', { spec: { replicas }, status }, { generation })
}
const condition = (type: string, status: string, more = {}) => ({ type, status, ...more })
const scheduled = condition('PodScheduled', 'True')
const pod = (status: Record<string, unknown>, name = 'api-1') =>
  object(
    'Pod',
    name,
    {
      spec: { containers: [{ name: 'main' }] },
      status: { phase: 'Running', startTime: at(-300), conditions: [scheduled], ...status },
    },
    { labels: { app: 'api' } },
  )
const says = (
  text: string | RegExp,
  here: Manifest | undefined,
  pods: Manifest[] = [],
  wanted = deployment,
  all = [wanted],
  events: object[] = [],
) => {
  const { ok, detail } = workloadHealth(wanted, all, {
    workloads: (here ? [here] : []) as unknown as (Workload | Job)[],
    pods: pods as unknown as Pod[],
    events: events as ClusterEvent[],
    now,
  })
  assert.is(ok, typeof text === 'string', detail)
  if (typeof text === 'string') assert.is(detail, text)
  else assert.match(detail, text)
}

test('a Deployment with all its pods ready and current', () => {
  says('2 of 2 ready', seen({}))
  says('4 of 4 ready', seen({}, 4))
  says(/^not created$/, undefined)
  says(/^its controller has not seen the change yet$/, seen({}, 2, 4))
  says(/^1 of 2 ready/, seen({ readyReplicas: 1 }))
  says(/^0 of 2 ready/, seen({ readyReplicas: undefined }))
  says(/^1 of 2 of the new version/, seen({ updatedReplicas: 1 }))
  // the new one does not come up, and the old one still serves
  says(/^1 of 3 of the new version/, seen({ updatedReplicas: 1 }, 3))
  says(/^1 of the old version still there/, seen({ replicas: 3 }))
  says(/^scaled to 0, at least 2/, seen({}, 0))
})

test('where an autoscaler is, its minimum counts', () => {
  const scaled = object('Deployment', 'api', {
    spec: { selector: { matchLabels: { app: 'api' } } },
  })
  const all = [
    scaled,
    object('HorizontalPodAutoscaler', 'x', {
      spec: { minReplicas: 2, scaleTargetRef: { kind: 'Deployment', name: 'api' } },
    }),
  ]
  assert.is(minReadyReplicas(scaled, all), 2)
  assert.is(minReadyReplicas(scaled, [scaled]), 1)
  says(/scaled to 1, at least 2/, seen({}, 1), [], scaled, all)
  says('7 of 7 ready', seen({}, 7), [], scaled, all)
  // what it adds may find no room
  const noRoom = { reason: 'Unschedulable', message: 'no room', lastTransitionTime: at(-5) }
  const waits = pod({
    phase: 'Pending',
    conditions: [condition('PodScheduled', 'False', noRoom)],
  })
  const words = 'api-1: Unschedulable: no room'
  says(`2 of 3 ready; ${words}`, seen({ readyReplicas: 2 }, 3), [waits], scaled, all)
  says(/^1 of 3 ready; api-1: .*no room/, seen({ readyReplicas: 1 }, 3), [waits], scaled, all)
})

test('a StatefulSet and a DaemonSet', () => {
  const set = object('StatefulSet', 'db', { spec: { replicas: 1 } })
  const revisions = { updatedReplicas: undefined, currentRevision: 'a', updateRevision: 'a' }
  const here = (status: Record<string, unknown>) => ({
    ...seen({ ...revisions, ...status }, 1),
    kind: 'StatefulSet',
    metadata: { name: 'db', generation: 3 },
  })
  says('1 of 1 ready', here({}), [], set)
  says(/^0 of 1 of the new version/, here({ updateRevision: 'b' }), [], set)
  const daemon = object('DaemonSet', 'agent', { spec: {} })
  const on = (numberReady: number) =>
    object('DaemonSet', 'agent', {
      spec: {},
      status: { desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberReady },
    })
  says('3 of 3 ready', on(3), [], daemon)
  says(/2 of 3 ready/, on(2), [], daemon)
})

test('a Job that is done, runs, has failed, or has gone', () => {
  const job = (ttl?: number) => object('Job', 'migrate', { spec: { ttlSecondsAfterFinished: ttl } })
  const here = (...said: [string, string][]) =>
    object('Job', 'migrate', {
      spec: {},
      status: {
        conditions: said.map(([type, message]) =>
          condition(type, 'True', { reason: 'BackoffLimitExceeded', message }),
        ),
      },
    })
  says('done', here(['Complete', '']), [], job())
  says(/^BackoffLimitExceeded: too often$/, here(['Failed', 'too often']), [], job())
  says(/not done yet/, here(), [], job())
  says('not there; it is removed 3600 s after its end', undefined, [], job(3600))
  says(/not created/, undefined, [], job())
})

test('pods say why they are not ready, in the words of the failure table', () => {
  const why = (status: Record<string, unknown>, text: RegExp, events: object[] = []) =>
    says(text, seen({ readyReplicas: 1 }), [pod(status)], deployment, [deployment], events)
  const main = { name: 'main', restartCount: 0, ready: false }
  const waiting = (reason: string, message = '') => ({
    phase: 'Pending',
    containerStatuses: [{ ...main, state: { waiting: { reason, message } } }],
  })
  why(
    waiting('CreateContainerConfigError', 'secret "x" not found'),
    /^1 of 2 ready; api-1: CreateContainerConfigError: secret "x" not found$/,
  )
  why(waiting('ImagePullBackOff', 'Back-off'), /api-1: ImagePullBackOff: Back-off$/)
  why(waiting('ContainerCreating'), /api-1: Pending$/)
  const killed = {
    ...main,
    state: { running: { startedAt: at(-1) } },
    lastState: {
      terminated: {
        exitCode: 137,
        reason: 'OOMKilled',
        startedAt: at(-13),
        finishedAt: at(-3),
      },
    },
    restartCount: 4,
  }
  why(
    { containerStatuses: [killed] },
    /api-1: OOMKilled: it has ended 4 times, the last time out of memory \(exit 137\) after 10 s$/,
  )
  const running = { ...main, state: { running: { startedAt: at(-200) } } }
  why({ containerStatuses: [running] }, /api-1: main starts$/)
  const probe = {
    reason: 'Unhealthy',
    message: 'Readiness probe failed: connection refused',
    lastTimestamp: at(-3),
    involvedObject: { uid: 'api-1', fieldPath: 'spec.containers{main}' },
  }
  why({ containerStatuses: [running] }, /api-1: readiness probe .*: connection refused$/, [probe])
  says(/^1 of 2 ready$/, seen({ readyReplicas: 1 }), [
    pod({ conditions: [scheduled, condition('Ready', 'True')] }),
  ])
})

test('pods belong by selector, those of a Job by its name', () => {
  const labelled = (name: string, labels: Record<string, string>) =>
    object('Pod', name, { status: {} }, { labels })
  const pods = [
    pod({}),
    labelled('other', { app: 'web' }),
    labelled('migrate-x', { 'batch.kubernetes.io/job-name': 'migrate' }),
  ] as unknown as Pod[]
  assert.equal(
    podsOf(deployment, pods).map(({ metadata }) => metadata.name),
    ['api-1'],
  )
  assert.equal(
    podsOf(object('Job', 'migrate', { spec: {} }), pods).map(({ metadata }) => metadata.name),
    ['migrate-x'],
  )
})

test.run()
