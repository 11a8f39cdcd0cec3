// Commands in a pod: over a WebSocket, and by kubectl where none comes about.
import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { countingScript, execInPod } from '../../scripts/lib/kubernetes/exec.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('exec')
const command = { pod: 'db-0', container: 'db', argv: ['psql', '-c', 'a b'], input: 'é\n' }
const body = 'read line; echo "got $line"; echo a warning >&2; exit 3'
const said = {
  calls: [
    `--namespace played exec --stdin db-0 --container db -- sh -c ${countingScript} 3 psql -c a b`,
  ],
  output: { stdout: 'got é\n', stderr: 'a warning\n', code: 3 },
}
const run = async () => {
  const { value, calls } = await withFakeKubectl(body, () => execInPod(environment, command))
  const { ms, ...output } = value!
  assert.ok(ms >= 0)
  return { calls, output }
}

test('a command gets its input, and its output and exit code come back', async () => {
  assert.equal(await run(), said)
})

test('where no WebSocket comes about kubectl is asked, and from then on at once', async () => {
  process.env.FAKE_NO_UPGRADE = 'yes'
  const { value, calls } = await withFakeKubectl(body, async () => [
    await execInPod(environment, command),
    await execInPod(environment, command),
  ])
  assert.equal(
    value!.map(({ ms, ...output }) => output),
    [said.output, said.output],
  )
  assert.equal(calls.slice(-2), [said.calls[0], said.calls[0]])
})

test('a command whose input comes cut is begun again, and has done nothing before', async () => {
  for (const shell of ['sh', 'bash']) {
    const begin = (input: string) =>
      spawnSync(shell, ['-c', countingScript, '3', 'sh', '-c', 'cat; exit 3'], { input })
    assert.equal([begin('é\n').status, `${begin('é\n').stdout}`], [3, 'é\n'])
    assert.equal([begin('').status, `${begin('').stdout}`], [75, ''])
    assert.is(begin('é').status, 75)
  }
  const once = '[ -e "$STATE/cut" ] || { : >"$STATE/cut"; echo the input came cut >&2; exit 75; }'
  process.env.STATE = mkdtempSync(join(tmpdir(), 'kgc-exec-'))
  const { value } = await withFakeKubectl(`${once}; ${body}`, () => execInPod(environment, command))
  assert.is(value!.stdout, 'got é\n')
  const { value: never } = await withFakeKubectl('echo the input came cut >&2; exit 75', () =>
    execInPod(environment, command),
  )
  assert.is(never!.code, 75)
})

// answers the handshake and all that the command says in one packet, as a busy machine reads them
const hasty = `
const { createHash } = require('node:crypto')
const message = (channel, text) => [0x82, text.length + 1, channel, ...Buffer.from(text)]
require('node:net').createServer(socket => socket.once('data', data => {
  const key = /sec-websocket-key: (\\S+)/i.exec(data)[1] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
  socket.end(Buffer.concat([
    Buffer.from('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Protocol: v5.channel.k8s.io\\r\\nSec-WebSocket-Accept: ' + createHash('sha1').update(key).digest('base64') + '\\r\\n\\r\\n'),
    Buffer.from([...message(1, 'at once'), ...message(3, '{"status":"Success"}'), 0x88, 0]),
  ]))
})).listen(process.argv[2], () => console.log('Starting to serve'))`

test('what a command says before the client has looked is not lost', async () => {
  const { value } = await withFakeKubectl(
    'exit 1',
    () => execInPod(environment, { ...command, input: undefined }),
    hasty,
  )
  assert.equal({ ...value, ms: 0 }, { stdout: 'at once', stderr: '', code: 0, ms: 0 })
})

test.run()
