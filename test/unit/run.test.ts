import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../scripts/lib/run.ts'

const test = suite('run')

test('a child that does not end when its time is over is killed 5 s later, with what it has started', async () => {
  const { code, ms } = await run(['sh', '-c', 'trap "" TERM; sleep 30; sleep 30'], { timeout: 200, nothrow: true })
  assert.is(code, 124)
  assert.ok(ms > 4_500 && ms < 15_000, `${ms} ms`)
})

test('the same when its signal is aborted', async () => {
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 200)
  const { code, ms } = await run(['sh', '-c', 'trap "" TERM; sleep 30; sleep 30'], { signal: stop.signal, nothrow: true })
  assert.is(code, 137)
  assert.ok(ms > 4_500 && ms < 15_000, `${ms} ms`)
})

test('with a signal that is aborted already nothing is started', async () => {
  const options = { signal: AbortSignal.abort(), timeout: 20_000 }
  const { code, stdout, ms } = await run(['sh', '-c', 'echo begun; sleep 10'], { ...options, nothrow: true })
  assert.equal({ code, stdout }, { code: 137, stdout: '' })
  assert.ok(ms < 1_000, `${ms} ms`)
  try {
    await run(['sleep', '10'], options)
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, 'ended with 137')
  }
})

test('a child that ends before it has read its input is judged by its exit code', async () => {
  for (let i = 0; i < 20; i++) {
    const { code } = await run(['sh', '-c', 'exec <&-; exit 3'], { input: 'x'.repeat(1_000_000), nothrow: true })
    assert.is(code, 3)
  }
})

test.run()
