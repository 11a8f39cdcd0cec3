// A healthy stack is changed, over and over: each `up` ends ready.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'

const test = suite('re-creation')
const stack = smallProject(import.meta.dirname, 'recreate')
stack.run(['env'])
// a soak of ten rounds makes a hundred changes
const rounds = process.env.KGC_SOAK ? 10 * Number(process.env.KGC_SOAK) : 2

test('a first up', () => {
  assert.is(stack.run(['up']).code, 0)
})

test(`${rounds} changes of what others need: each ends ready, nothing is called failed, and what was not changed goes on`, () => {
  const worker = stack.container('worker')
  for (let round = 1; round <= rounds; round++) {
    const web = stack.container('web')
    const { code, stderr } = stack.run(['up'], { env: { CHANGE: String(round) } })
    assert.is(code, 0, `round ${round}\n${stderr}`)
    assert.not.match(stderr, '✘')
    assert.is.not(stack.container('web'), web)
  }
  assert.is(stack.container('worker'), worker)
})

test('a paused one goes on', () => {
  stack.engine('pause', stack.container('web'))
  const { code, stderr } = stack.run(['up'], { env: { CHANGE: String(rounds) } })
  assert.is(code, 0, stderr)
  assert.match(stderr, 'Unpause: web')
})

test.run()
