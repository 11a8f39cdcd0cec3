import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'

const test = suite('unhealthy')
const stack = smallProject(import.meta.dirname, 'unhealthy')
stack.run(['env'])

test('an unhealthy service fails up, with what its check said and who waits for it', () => {
  const { code, stderr } = stack.run(['up'])
  assert.is(code, 6, stderr)
  assert.match(stderr, /WHY\s+sick: unhealthy: no pulse/)
  assert.match(stderr, 'started with a broken lung')
  assert.match(stderr, 'wait for it: follower')
})

test('smoke names it too', () => {
  const { code, stderr } = stack.run(['smoke', '--quick'])
  assert.is(code, 6, stderr)
  assert.match(stderr, /sick: unhealthy: no pulse/)
  assert.match(stderr, /follower: /)
})

test('put right, the next up succeeds, though Compose still remembers it as unhealthy', () => {
  const before = stack.container('sick')
  stack.engine('exec', before, 'touch', '/tmp/well')
  const { code, stderr } = stack.run(['up'])
  assert.is(code, 0, stderr)
  assert.is(stack.container('sick'), before, 'restarted, not made anew')
  const [limit, there] = [
    stack.engine('inspect', '--format', '{{.HostConfig.NanoCpus}}', before),
    stack.engine('info', '--format', '{{.NCPU}}'),
  ]
  assert.is(Number(limit), Number(there) * 1e9, 'more CPUs than the machine has')
})

test.run()
