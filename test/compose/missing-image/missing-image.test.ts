import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'

const test = suite('missing image')

test('an image that cannot be had is refused within 15 s, by name, before anything starts', () => {
  const stack = smallProject(import.meta.dirname, 'missing-image')
  stack.run(['env'])
  const { code, stderr, ms } = stack.run(['up'])
  assert.is(code, 3, stderr)
  assert.match(stderr, '127.0.0.1:9/kgc/ghost:1.0.0')
  assert.match(stderr, /NEXT\s+make demo/)
  assert.ok(ms < 15_000, `said after ${ms} ms`)
  assert.is(stack.container('bystander'), '', 'nothing was started')
})

test.run()
