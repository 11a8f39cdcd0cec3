// Passwords that are rotated on a real cluster by deploys which are killed at one moment after another, and a
// rollback over a rotation: nobody is refused, and the next deploy ends it. It takes minutes: `make soak` runs it.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../until.ts'
import { createServingKgc } from './serving-kgc.ts'
import { createTestEnvironment } from './test-environment.ts'

const test = suite('rotation that is cut off')
const environment = createTestEnvironment('kgc-t-rotation')
const { space, box, env, get } = environment
const kgc = createServingKgc(environment)
/** Whether old values, and those of now, are let in by the database and by Redis. */
const lets = (old: Record<string, string>) => [kgc.letIn(old), kgc.letIn(kgc.values())]
const rotated = [
  [false, false],
  [true, true],
]
/** The last step or line that was said before the end. */
const last = (said: string) => said.trimEnd().split('\n').at(-1)!.trim()

test('KGC serves, and is asked from now on', () => kgc.begin())

/** Steps and lines of a deploy after which it is killed. */
const moments = [
  /▶ Apply/,
  /is let in/,
  /▶ Watch/,
  /know the old password/,
  /▶ Smoke/,
  /is refused from now on/,
]
for (const moment of moments)
  test(`a deploy that is killed at ${moment}: the next one ends the rotation`, async () => {
    const old = kgc.values()
    kgc.rotate()
    const deploy = kgc.start()
    await waitUntil(`${moment}`, 180, () => moment.test(deploy.said()), 50)
    deploy.kill('SIGKILL')
    await deploy.code
    await kgc.nothingLost()
    const { code, stderr } = kgc.deploy()
    assert.is(code, 0, stderr)
    assert.equal(lets(old), rotated, stderr)
    await kgc.nothingLost()
    console.error(`  killed at "${last(deploy.said())}"; ${kgc.counts()}`)
  })

test('a rollback over a rotation brings the old password back, and the next deploy the new one', async () => {
  const old = kgc.values()
  kgc.rotate()
  const first = kgc.deploy()
  assert.is(first.code, 0, first.stderr)
  const back = box.script(['rollback', 'test', '--yes'], { env, timeout: 340_000 })
  assert.is(back.code, 0, back.stderr)
  assert.equal(lets(old), rotated.toReversed(), back.stderr)
  await kgc.nothingLost()
  const again = kgc.deploy()
  assert.is(again.code, 0, again.stderr)
  assert.equal(lets(old), rotated, again.stderr)
  await kgc.nothingLost()
  assert.is(get('lease', 'kgc-deploy').spec.holderIdentity, undefined, space)
})

test.run()
