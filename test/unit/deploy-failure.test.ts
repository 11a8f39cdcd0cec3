// How a change ends that has met a bug of the script's own.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import {
  createRolloutOptions,
  type DeployRequest,
  type Change,
} from '../../scripts/lib/deploy/change.ts'
import type { StoredRelease } from '../../scripts/lib/kubernetes/releases.ts'
import { trackApplied } from '../../scripts/lib/deploy/applied-objects.ts'
import { describeOutcome } from '../../scripts/lib/deploy/change-on-github.ts'
import { describeInterrupted, guardChange } from '../../scripts/lib/deploy/failure.ts'
import {
  notifyAborted,
  notifyChange,
  notifyRefused,
} from '../../scripts/lib/deploy/notifications.ts'
import { recordStart } from '../../scripts/lib/deploy/start.ts'
import type { PreflightResult } from '../../scripts/lib/deploy/preflight.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { environment, target, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('deploy failure')
const asked: DeployRequest = {
  environment,
  target,
  verb: 'deploy',
  source: {},
  chooseRelease: () => undefined,
  prune: false,
  yes: false,
}
const workload = (name: string, spec: object = {}): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec,
})
const web = workload('web')
const bug = () => {
  throw new TypeError("Cannot read properties of undefined (reading 'trim')")
}

/** A change that is recorded and has something to do; `good`: what served before it. */
function changeOf(good: boolean, freed: string[]): Change {
  const served = {
    number: 4,
    ending: 'succeeded',
    manifests: [web],
    images: {},
  } as unknown as StoredRelease
  return {
    ...asked,
    started: Date.now(),
    lock: {
      recordPhase: async () => {},
      lossFailure: () => undefined,
      release: async () => void freed.push('freed'),
      clockOffsetMs: 1,
    },
    release: { ...served, number: 5, ending: 'applying', created: [] },
    plan: { created: [], changed: ['Deployment web'], removed: [], generated: [], jobs: [] },
    facts: { history: good ? [served] : [], manifests: [web] } as unknown as PreflightResult,
    appliedObjects: [],
    versions: new Map(),
    rotation: { changed: [], late: [] },
    prunedIds: new Set(),
    reached: 'recorded',
    step: 'Apply',
  }
}
const went = async (
  good: boolean,
  work: (change: Change) => Promise<void>,
  body = `case "$*" in *apply*) ;; *" get "*) echo '{"items":[]}' ;; esac`,
) => {
  const freed: string[] = []
  const change = changeOf(good, freed)
  const ended = await withFakeKubectl(body, () => guardChange(change, () => work(change)))
  assert.equal(freed, ['freed'])
  return { ...ended, failure: ended.error as Failure }
}

test('a step before anything is applied that fails: what served serves, and nothing was changed', async () => {
  const { failure } = await went(true, async change => {
    change.step = 'Backup'
    throw new Failure(6, 'Back up', 'the disk is full')
  })
  assert.is(failure.code, 5)
  assert.is(failure.serving, 'release 4 serves; nothing was changed')
})

test('a bug before anything was applied: what served serves', async () => {
  const { failure } = await went(true, async () => bug())
  assert.is(failure.code, 5)
  assert.match(
    failure.why,
    "a bug in the script: Cannot read properties of undefined (reading 'trim')",
  )
  assert.match(failure.evidence!, 'deploy-failure.test.ts')
  assert.match(failure.serving!, 'release 4 serves')
})

test('a bug when something was: it goes back, or is said to stand as it is', async () => {
  const touches = async (change: Change) => {
    trackApplied(change)(web, 'done')
    bug()
  }
  const first = await went(false, touches)
  assert.is(first.failure.code, 6)
  assert.match(first.failure.serving!, 'no release before this one to go back to')
  // the way back, too, meets something that nobody has thought of
  const back = await went(
    true,
    touches,
    `case "$*" in *apply*) ;; *" get "*) echo 'no JSON' ;; esac`,
  )
  assert.is(back.failure.code, 6)
  assert.match(back.failure.why, 'a bug in the script: Cannot read')
  assert.match(back.failure.serving!, /release 4 was restored, but .*JSON/)
  assert.ok(back.calls.some(one => one.includes(' apply ')))
  assert.ok(
    back.calls.some(one => one.includes(' replace ')),
    'it is recorded',
  )
})

test('a bug of the way back itself still says how things stand', async () => {
  const { failure } = await went(true, async change => {
    trackApplied(change)(web, 'done')
    Object.assign(change.facts, {
      history: [{ ...change.facts.history[0]!, manifests: undefined }],
    })
    bug()
  })
  assert.is(failure.code, 6)
  assert.match(
    failure.serving!,
    /^nothing could be restored \(in place: Deployment web of release 5; all else of release 4\), but by a bug in the script: /,
  )
})

test('a change that is cut off says what is in place, half of it or not', () => {
  const change = changeOf(true, [])
  assert.is(describeInterrupted(change), 'the objects of release 4 are in place')
  trackApplied(change)(web, 'done')
  trackApplied(change)({ ...web, kind: 'Job', metadata: { name: 'migrate' } }, 'done')
  assert.is(
    describeInterrupted(change),
    'in place: Deployment web of release 5; all else of release 4; what Job migrate has done to its database stays',
  )
  assert.match(
    describeInterrupted({ ...change, reached: 'verified' }),
    /^release 5 serves and passed the smoke test, but may not be recorded/,
  )
  change.release.ending = 'succeeded'
  assert.is(describeInterrupted(change), 'release 5 serves')
})

/** What a webhook of Slack's is told meanwhile. */
async function toldBy(work: () => Promise<unknown>): Promise<string> {
  let told = ''
  const server = createServer(async (request, response) => {
    for await (const part of request) told += part
    response.end('ok')
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/T/B/${'x'.repeat(20)}`
  const before = { ...process.env }
  Object.assign(process.env, { SLACK_WEBHOOK_URL: address, GITHUB_ACTIONS: 'true' })
  try {
    await work()
    return told
  } finally {
    process.env = before
    server.close()
  }
}

test('a change that is cut off tells its commit and what is in place; the next one says that it goes on', async () => {
  const commit = 'c'.repeat(40)
  const change = changeOf(true, [])
  Object.assign(change.release, { commit })
  change.startNotified = Promise.resolve([])
  trackApplied(change)(web, 'done')
  const serving = describeInterrupted(change)
  const told = await toldBy(() => notifyAborted(change, 'interrupted in step watch', { serving }))
  assert.match(told, 'Serving now: in place: Deployment web of release 5; all else of release 4')
  assert.match(told, commit.slice(0, 12))
  const next = changeOf(true, [])
  Object.assign(next.release, { number: 6 })
  const left = { ...change.release, ending: 'applying' as const, who: 'eva' }
  next.facts.history.unshift(left)
  const { said } = await withFakeKubectl('exit 0', () => recordStart(next))
  assert.match(said, /release 5 of eva never said how it ended: .* is applied again/)
  assert.is(left.ending, 'interrupted')
})

test('what is refused before the lock is told, in a workflow', async () => {
  const refused = new Failure(3, 'Deploy to test', 'the image is not there', { next: 'build it' })
  const told = await toldBy(() => notifyRefused(asked, refused, Date.now()))
  assert.match(told, /Deploy to test failed/)
  assert.match(told, 'the image is not there')
  assert.match(told, 'nothing was touched')
  const byHand = await toldBy(async () => {
    process.env.GITHUB_ACTIONS = ''
    await notifyRefused(asked, refused, Date.now())
  })
  assert.is(byHand, '')
})

test('a first release says how many of its checks do not pass', async () => {
  const change = changeOf(false, [])
  Object.assign(change.release, { failing: ['a', 'b'] })
  const told = await toldBy(() => notifyChange(change, 'succeeded'))
  assert.match(told, 'release 5, with 2 failing checks')
  assert.is(describeOutcome(change, 'succeeded', {}), 'release 5 serves, with 2 failing checks')
})

test('what a change leaves alone needs no more pods than the least', () => {
  const scaler = {
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'x' },
    spec: { minReplicas: 2, scaleTargetRef: { kind: 'Deployment', name: 'api' } },
  }
  const all = [
    web,
    workload('api'),
    workload('fixed', { replicas: 3 }),
    { ...workload('agent'), kind: 'DaemonSet' },
    scaler,
  ]
  const { minReadyReplicas } = createRolloutOptions(changeOf(true, []), false, all, [web])
  assert.equal(
    [...(minReadyReplicas ?? [])],
    [
      ['Deployment api', 2],
      ['Deployment fixed', 3],
    ],
  )
})

test.run()
