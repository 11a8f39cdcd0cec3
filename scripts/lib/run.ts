// The only place that starts processes: times them, redacts what they print, and ends them with the
// script.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { $ } from 'zx'
import { Failure, exit } from './errors.ts'
import { blockWhenEnding, children, companions, signalGroup } from './interrupt.ts'
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

function finishRun(
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

/**
 * Runs a command whose input or output is bytes of any length, which nobody keeps: `write` gets its
 * input, `read` its output. Comes with what `read` returns; throws Failure with the end of stderr
 * when it ends non-zero, whatever was read.
 */
export async function runBytes<T>(
  argv: string[],
  what: string,
  read: (output: Readable) => Promise<T>,
  write: (input: Writable) => Promise<unknown> = async input => input.end(),
): Promise<T> {
  await blockWhenEnding()
  if (process.env.DEBUG) writeStderr(`$ ${argv.join(' ')}\n`)
  const start = Date.now()
  const child = spawn(argv[0]!, argv.slice(1), { detached: true, stdio: 'pipe' })
  children.add(child)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // who ends before it has read all of its input says more by its exit code than by EPIPE
  child.stdin.on('error', () => {})
  const ended = new Promise<number>((done, fail) =>
    child.on('error', fail).on('close', code => done(code ?? 137)),
  )
  // node throws away what nobody reads yet when the process ends
  const output = child.stdout.pipe(new PassThrough())
  const [written, result] = await Promise.allSettled([write(child.stdin), read(output)])
  // one that nobody reads any more would never end
  if (written.status === 'rejected' || result.status === 'rejected') signalGroup(child, 'SIGTERM')
  const code = await ended
  children.delete(child)
  await blockWhenEnding()
  if (written.status === 'rejected') throw written.reason
  if (result.status === 'rejected') throw result.reason
  finishRun(argv, { what }, { stdout: '', stderr, code, ms: Date.now() - start })
  return result.value
}

/**
 * Starts a daemon that outlives the script; what it prints is added to the file `log`. Out: its
 * process id, 0 when it cannot be started.
 */
export function spawnDetached(argv: string[], log: string): number {
  const file = openSync(log, 'a', 0o640)
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: '/',
    detached: true,
    stdio: ['ignore', file, file],
  })
  child.on('error', error => writeStderr(`${argv[0]}: ${error.message}\n`))
  child.unref()
  closeSync(file)
  return child.pid ?? 0
}

/** Runs a command until its input ends, as it does when the script is killed. */
const untilInputEnds =
  'exec 3<&0; "$@" & child=$!; { cat; kill $child; } <&3 >/dev/null 2>&1 & exec 3<&-; wait $child'

/** A process that serves the script. */
export interface Companion {
  /** Its exit code, if it ends before the script. */
  ended: Promise<number>
  /** From now on the script does not wait for it. */
  leave: () => void
}

/**
 * Starts a process that serves the script until that ends, however it ends. A signal to the script
 * leaves it to the work that is done then.
 */
export function startCompanion(
  argv: string[],
  env: Record<string, string>,
  onOutput: (text: string) => void,
): Companion {
  if (process.env.DEBUG) writeStderr(`$ ${argv.join(' ')}\n`)
  const child = spawn('sh', ['-c', untilInputEnds, 'sh', ...argv], {
    detached: true,
    env: { ...process.env, ...env },
  })
  companions.add(child)
  child.on('close', () => companions.delete(child))
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', onOutput)
  return {
    ended: new Promise((done, fail) =>
      child.on('error', fail).on('close', code => done(code ?? 137)),
    ),
    leave: () => {
      child.unref()
      for (const one of [child.stdin, child.stdout, child.stderr] as unknown as Socket[])
        one.unref()
    },
  }
}

/** Whether a command is on the PATH. */
export async function hasCommand(command: string): Promise<boolean> {
  return (await run(['sh', '-c', 'command -v "$0"', command], { nothrow: true })).code === 0
}
