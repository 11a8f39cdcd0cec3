// Runs commands: times them, redacts what they print, and ends them with the script. No process is
// started but here and in run/.
import { $ } from 'zx/core'
import { Failure, exit } from './errors.ts'
import { blockWhenEnding, children, signalGroup } from './interrupt.ts'
import { writeStderr } from './output.ts'

export interface RunOptions {
  /** What is being done, for the error. */
  what?: string
  cwd?: string
  /** Added to the environment; undefined: taken out of it. */
  env?: Record<string, string | undefined>
  /** Written to standard input. */
  input?: string | Buffer
  /** ms; then the process group gets SIGTERM, and SIGKILL 5 s later. */
  timeout?: number
  /** Ends it, too; one that is aborted already starts nothing. */
  signal?: AbortSignal
  /** Return a non-zero exit code instead of throwing. */
  nothrow?: boolean
  /** Called with every piece of output as it comes. */
  onOutput?: (text: string) => void
}

export interface RunOutput {
  stdout: string
  stderr: string
  code: number
  ms: number
}

/**
 * zx runs commands by bash. One without a parent that has a socket for its input, as node
 * gives it, takes itself for a remote login and reads ~/.bashrc, whatever that does and prints
 * (https://www.gnu.org/software/bash/manual/html_node/Bash-Startup-Files.html).
 */
const plainBashEnv = { SHLVL: '1', BASH_ENV: '' }

/**
 * Runs a command. In: the argument list (never a secret in it). Out: its output, exit code and ms.
 * Throws Failure with the last 20 lines of both streams when it ends non-zero, unless `nothrow`.
 */
export async function run(argv: string[], options: RunOptions = {}): Promise<RunOutput> {
  await blockWhenEnding()
  const start = Date.now()
  if (options.signal?.aborted)
    return finishRun(argv, options, { stdout: '', stderr: '', code: 137, ms: 0 })
  if (process.env.DEBUG) writeStderr(`$ ${argv.join(' ')}\n`)
  const child = $({
    quiet: true,
    nothrow: true,
    detached: true,
    ...(options.cwd ? { cwd: options.cwd } : {}),
    env: { ...process.env, ...plainBashEnv, ...options.env },
    ...(options.input === undefined ? {} : { input: options.input }),
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })`${argv}`
  children.add(child)
  // who ends before it has read all of its input says more by its exit code than by EPIPE
  child.stdin?.on('error', () => {})
  for (const stream of [child.stdout, child.stderr]) {
    // zx decodes piece by piece: a character that a pipe has cut in two would be lost
    stream?.setEncoding('utf8')
    if (options.onOutput) stream?.on('data', (text: string) => options.onOutput?.(text))
  }
  let late = false
  const timers: NodeJS.Timeout[] = []
  const end = () => {
    signalGroup(child, 'SIGTERM')
    timers.push(setTimeout(() => signalGroup(child, 'SIGKILL'), 5000))
  }
  const endLate = () => {
    late = true
    end()
  }
  if (options.timeout) timers.push(setTimeout(endLate, options.timeout))
  options.signal?.addEventListener('abort', end)
  const done = await child
  options.signal?.removeEventListener('abort', end)
  timers.forEach(clearTimeout)
  children.delete(child)
  await blockWhenEnding()
  return finishRun(
    argv,
    options,
    {
      stdout: done.stdout,
      stderr: done.stderr,
      code: done.exitCode ?? (late ? 124 : 137),
      ms: Date.now() - start,
    },
    late,
  )
}

/** What a command has put out; throws Failure when it ended non-zero, unless `nothrow`. */
export function finishRun(
  argv: string[],
  options: RunOptions,
  output: RunOutput,
  late = false,
): RunOutput {
  if (output.code !== 0 && !options.nothrow) throw createRunFailure(argv, options, output, late)
  return output
}

function createRunFailure(
  argv: string[],
  options: RunOptions,
  output: RunOutput,
  late: boolean,
): Failure {
  const why = late
    ? `it took longer than ${options.timeout} ms`
    : `\`${argv.slice(0, 6).join(' ')}\` ended with ${output.code}`
  const tail = `${output.stdout}\n${output.stderr}`.trim().split('\n').slice(-20).join('\n')
  return new Failure(late ? exit.timeout : exit.bug, options.what ?? `Run ${argv[0]}`, why, {
    evidence: tail,
  })
}

/** Whether a command is on the PATH. */
export async function hasCommand(command: string): Promise<boolean> {
  return (await run(['sh', '-c', 'command -v "$0"', command], { nothrow: true })).code === 0
}
