// Commands in a pod: over a WebSocket, and by kubectl where none comes about.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { execInPod } from '../../scripts/lib/kubernetes/exec.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('exec')
const command = { pod: 'db-0', container: 'db', argv: ['psql', '-c', 'a b'], input: 'é\n' }
const said = {
  calls: ['--namespace played exec --stdin db-0 --container db -- psql -c a b'],
  output: { stdout: 'got é\n', stderr: 'a warning\n', code: 3 },
}
const run = async () => {
  const { value, calls } = await withFakeKubectl(
    'read line; echo "got $line"; echo a warning >&2; exit 3',
    () => execInPod(environment, command),
  )
  const { ms, ...output } = value!
  assert.ok(ms >= 0)
  return { calls, output }
}

test('a command gets its input, and its output and exit code come back', async () => {
  assert.equal(await run(), said)
})

test('where no WebSocket comes about kubectl is asked', async () => {
  process.env.FAKE_NO_UPGRADE = 'yes'
  const { calls, output } = await run()
  assert.equal([calls.at(-1), output], [said.calls[0], said.output])
})

test.run()
