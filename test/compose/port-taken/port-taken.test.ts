import { createServer, type AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'

const test = suite('port taken')

/** Takes a port. */
async function hold() {
  const holder = createServer().unref()
  await new Promise<void>(done => holder.listen(0, '127.0.0.1', done))
  return {
    env: { EDGE_PORT: String((holder.address() as AddressInfo).port) },
    release: () => new Promise(done => holder.close(done)),
  }
}

test('a taken port is refused with its holder before anything starts; freed, up goes on', async () => {
  const stack = smallProject(import.meta.dirname, 'port-taken')
  stack.run(['env'])
  const { env, release } = await hold()
  const { code, stderr } = stack.run(['up'], { env })
  assert.is(code, 3, stderr)
  assert.match(stderr, `${env.EDGE_PORT} (edge) is used by`)
  assert.match(stderr, `pid ${process.pid}`)
  assert.is(stack.container('edge'), '')
  await release()
  assert.is(stack.run(['up'], { env }).code, 0)
  assert.is(stack.run(['up'], { env }).code, 0, 'its own port is not taken')
  const other = await hold()
  const edge = stack.container('edge')
  assert.is(stack.run(['up'], { env: other.env }).code, 3, 'a new port that another has')
  assert.is(stack.container('edge'), edge, 'what runs goes on')
  await other.release()
})

test.run()
