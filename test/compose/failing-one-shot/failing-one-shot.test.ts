import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'

const test = suite('failing one-shot')

test('a one-shot that fails fails up and names who waits; one that ends well does not', () => {
  const stack = smallProject(import.meta.dirname, 'failing-one-shot')
  stack.run(['env'])
  const { code, stderr } = stack.run(['up'])
  assert.is(code, 6, stderr)
  assert.match(stderr, /WHY\s+migrate: ended: exit 3/)
  assert.match(stderr, 'relation is missing')
  assert.match(stderr, 'wait for it: api')
  assert.not.match(stderr, /✘ good-migrate/)
})

test.run()
