// How a change ends that has met a bug of the script's own.
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
import { guardChange } from '../../scripts/lib/deploy/failure.ts'
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
  assert.match(back.failure.serving!, /release 4 was put back, but .*JSON/)
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
    /^nothing could be put back \(in place: Deployment web of release 5; all else of release 4\), but by a bug in the script: /,
  )
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
