// The steps of a deploy know their target by its interface alone.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ChangePlan, DeployRequest } from '../../scripts/lib/deploy/change.ts'
import { guardChange } from '../../scripts/lib/deploy/failure.ts'
import type { PreflightResult } from '../../scripts/lib/deploy/preflight.ts'
import { recordChange } from '../../scripts/lib/deploy/record.ts'
import { lockEnvironment, recordStart } from '../../scripts/lib/deploy/start.ts'
import { applyChange, watchChange } from '../../scripts/lib/deploy/steps.ts'
import { Failure, exit } from '../../scripts/lib/errors.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'
import { createNotingTarget } from './noting-target.ts'

const test = suite('deploy target')
const web = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: { template: { spec: { containers: [{ name: 'web', image: 'web:1' }] } } },
}

async function run(broken: boolean) {
  const calls: string[] = []
  const request: DeployRequest = {
    ...{ environment, target: createNotingTarget(calls, broken), verb: 'deploy', source: {} },
    ...{ chooseRelease: () => undefined, prune: false, yes: true },
  }
  const history = [{ number: 4, ending: 'succeeded', manifests: [web], images: {} }]
  const facts = { history, manifests: [web], digests: new Map(), live: [], questions: [] }
  const plan = { created: [], changed: ['Deployment web'], removed: [], generated: [], jobs: [] }
  const result = await withFakeKubectl('exit 9', async () => {
    const change = await lockEnvironment(
      request,
      { ...facts, leaseVersion: '7' } as unknown as PreflightResult,
      plan as ChangePlan,
      Date.now(),
    )
    await guardChange(change, async () => {
      await recordStart(change)
      await watchChange(change, await applyChange(change))
      await recordChange(change)
    })
  })
  return { ...result, calls, kubectl: result.calls }
}

test('locks, records, applies, watches and frees through the target, and asks no cluster', async () => {
  const { error, calls, kubectl } = await run(false)
  assert.is(error, undefined, error?.stack)
  assert.equal(calls, [
    'lock deploy 7',
    'create release 5 applying',
    'apply Deployment web',
    'watch',
    'remove 0',
    'replace release 5 succeeded',
    'prune',
    'unlock',
  ])
  assert.equal(kubectl, [])
})

test('what fails is restored through the target', async () => {
  const { error, calls } = await run(true)
  assert.is((error as Failure).code, exit.broken, 'it could not be asked whether it works')
  assert.equal(calls.slice(3, 6), ['watch', 'restore Deployment web', 'watch'])
  assert.is(calls.at(-1), 'unlock')
})

test.run()
