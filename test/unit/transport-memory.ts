// Fetches a file of 256 MiB from a pod that is played, and prints the peak of this process' memory, MiB
// (backup-kubernetes.test.ts).
import { execInPod } from '../../scripts/lib/kubernetes/exec.ts'
import {
  rangeBytes,
  readRemoteFile,
  type PodShell,
} from '../../scripts/lib/backup/kubernetes/transport.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

/** Answers each command with a range in base64, in messages of 32 KiB as the kubelet sends them. */
const server = `
const { createHash } = require('node:crypto')
const text = Buffer.from(Buffer.alloc(${rangeBytes}, 7).toString('base64'))
const message = (channel, bytes) => {
  const head = Buffer.alloc(bytes.length > 124 ? 5 : 3)
  head[0] = 0x82
  if (bytes.length > 124) { head[1] = 126; head.writeUInt16BE(bytes.length + 1, 2) } else head[1] = bytes.length + 1
  head[head.length - 1] = channel
  return Buffer.concat([head, bytes])
}
const parts = []
for (let at = 0; at < text.length; at += 32768) parts.push(message(1, text.subarray(at, at + 32768)))
const all = Buffer.concat([...parts, message(3, Buffer.from('{"status":"Success"}')), Buffer.from([0x88, 0])])
require('node:net').createServer(socket => socket.on('error', () => {}).once('data', data => {
  const key = /sec-websocket-key: (\\S+)/i.exec(data)[1] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Protocol: v5.channel.k8s.io\\r\\nSec-WebSocket-Accept: ' + createHash('sha1').update(key).digest('base64') + '\\r\\n\\r\\n')
  socket.end(all)
})).listen(process.argv[2], () => console.log('Starting to serve'))`

const total = 256 * 1024 * 1024
const { value, error } = await withFakeKubectl(
  'exit 1',
  async () => {
    const shell: PodShell = (script, words = [], input) =>
      execInPod(environment, {
        pod: 'p',
        container: 'tools',
        input,
        argv: ['sh', '-c', script, ...words],
      })
    let bytes = 0
    for await (const part of readRemoteFile(shell, '/backup/dump', total)) bytes += part.length
    return bytes
  },
  server,
)
if (value !== total) throw error ?? new Error(`${value} bytes arrived`)
console.log(Math.round(process.resourceUsage().maxRSS / 1024))
process.exit()
