// A command in a pod's container, by the WebSocket that kubectl itself tries first: no process.
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket, type RawData } from 'ws'
import { blockWhenEnding } from '../interrupt.ts'
import type { RunOutput } from '../run.ts'
import { openWebSocket } from './api.ts'
import type { Environment } from './environment.ts'
import { kubectl } from './kubectl.ts'
import { resourcePath } from './resources.ts'

/** The first byte of each message says what it carries (v5.channel.k8s.io). */
const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 }

/** ms for a command, and for its beginning. */
const execTimeoutMs = 60_000

export interface PodCommand {
  pod: string
  container: string
  argv: string[]
  /** For its standard input. */
  input?: string | undefined
}

/** Bytes of an input that is counted before its command begins; who sends more counts for himself (transport.ts). */
const countedBytes = 64 * 1024
/** How often a command is begun whose input comes cut. */
const inputTries = 5
const cutCode = 75
const cutMessage = 'the input came cut'

/**
 * Begins "$@" once all $0 bytes of its input are there. A busy node may lose them, and the command ends well with
 * nothing (seen with a file of passwords; kubernetes/kubernetes#124571 is the same of outputs).
 */
export const countingScript = [
  'input=$(cat; echo .)',
  `if [ "$(printf %s "$input" | wc -c)" -ne $(($0 + 1)) ]; then echo '${cutMessage}' >&2; exit ${cutCode}; fi`,
  'printf %s "${input%.}" | "$@"',
].join('; ')

/**
 * Runs a command in a container, one with an input by the container's sh. Out: what it printed and its exit code. Where
 * no WebSocket comes about kubectl has its own ways, and says why if those fail too.
 */
export async function execInPod(environment: Environment, command: PodCommand): Promise<RunOutput> {
  const { argv, input } = command
  const bytes = Buffer.byteLength(input ?? '')
  if (input === undefined || bytes > countedBytes) return execOnce(environment, command)
  const counted = { ...command, argv: ['sh', '-c', countingScript, `${bytes}`, ...argv] }
  for (let tries = 1; ; tries++) {
    const output = await execOnce(environment, counted)
    const isCut = output.code === cutCode && output.stderr.trim() === cutMessage
    if (!isCut || tries === inputTries) return output
  }
}

async function execOnce(environment: Environment, command: PodCommand): Promise<RunOutput> {
  const start = Date.now()
  const { pod, container, argv, input } = command
  const query = new URLSearchParams([
    ...argv.map(word => ['command', word] as [string, string]),
    ['container', container],
    ['stdout', 'true'],
    ['stderr', 'true'],
    ...(input === undefined ? [] : [['stdin', 'true'] as [string, string]]),
  ])
  const path = `${resourcePath(environment, 'v1/pods', pod)}/exec?${query}`
  const socket = await openWebSocket(environment, path, 'v5.channel.k8s.io')
  if (!socket) return execByKubectl(environment, command)
  const ended = collectOutput(socket)
  socket.resume()
  if (input !== undefined) {
    socket.send(Buffer.concat([Buffer.from([channels.stdin]), Buffer.from(input)]))
    socket.send(Buffer.from([channels.close, channels.stdin]))
  }
  const timer = new AbortController()
  const late = sleep(execTimeoutMs, undefined, { ref: false, signal: timer.signal })
  const output = await Promise.race([ended, late])
  // a timer that goes on keeps what was printed for as long
  timer.abort()
  socket.terminate()
  await blockWhenEnding()
  return { stdout: '', stderr: '', code: 124, ...output, ms: Date.now() - start }
}

function execByKubectl(
  environment: Environment,
  { pod, container, argv, input }: PodCommand,
): Promise<RunOutput> {
  const stdin = input === undefined ? [] : ['--stdin']
  return kubectl(environment, ['exec', ...stdin, pod, '--container', container, '--', ...argv], {
    nothrow: true,
    ...(input === undefined ? {} : { input }),
  })
}

/** What a command prints until it ends; 137 when the connection ends before it. */
function collectOutput(socket: WebSocket): Promise<Omit<RunOutput, 'ms'>> {
  const parts = new Map<number, Buffer[]>()
  const textOf = (channel: number) => Buffer.concat(parts.get(channel) ?? []).toString()
  socket.on('message', (data: RawData) => {
    const message = data as Buffer
    const channel = message[0] ?? channels.stdout
    const said = parts.get(channel)
    if (said) said.push(message.subarray(1))
    else parts.set(channel, [message.subarray(1)])
  })
  return new Promise(done =>
    socket.on('close', () =>
      done({
        stdout: textOf(channels.stdout),
        ...readExecStatus(textOf(channels.status), textOf(channels.stderr)),
      }),
    ),
  )
}

interface ExecStatus {
  status: string
  message?: string
  details?: { causes?: { reason: string; message: string }[] }
}

/** The exit code of a command by the status that ends it; another failure is told like kubectl's. */
function readExecStatus(text: string, stderr: string): Pick<RunOutput, 'stderr' | 'code'> {
  if (!text) return { stderr: `${stderr}error: the connection ended before the command`, code: 137 }
  const { status, message, details } = JSON.parse(text) as ExecStatus
  if (status === 'Success') return { stderr, code: 0 }
  const code = details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message
  return code ? { stderr, code: Number(code) } : { stderr: `${stderr}error: ${message}`, code: 1 }
}
