// Starts the programs of a test run and sees to it that they end, with all that came of them.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface ProcessResult {
  /** null when a signal ended it, or when it could not be started. */
  code: number | null
  signal: NodeJS.Signals | null
  /** Both streams, as they came. */
  text: string
  /** Why it was ended, in words. */
  ended?: string
  ms: number
}

export interface Limits {
  /** ms that it may take. */
  limit?: number
  /** ms for which it may print nothing. */
  silence?: number
  /** Gets each line as it comes. */
  line?: (text: string) => void
  cwd?: string
  /** Added to this process's own. */
  env?: Record<string, string>
}

const running = new Set<ChildProcess>()
let over = false

/** How a program ended, in words. */
export function words({ code, signal, ended, text }: ProcessResult): string {
  if (ended !== undefined) return ended
  if (code !== null) return `ended with exit code ${code}`
  return signal ? `was ended by ${signal}` : `could not be started: ${text.trim()}`
}

/** ms as people say it. */
export function duration(ms: number): string {
  if (ms < 10_000) return `${Math.round(ms / 100) / 10} s`
  return ms < 120_000
    ? `${Math.round(ms / 1000)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`
}

/**
 * Runs a program of the repository with no standard input; never throws. After `endAll` nothing is
 * started and nothing comes any more.
 */
export function execute(
  argv: string[],
  { limit, silence, line, cwd = join(import.meta.dirname, '..'), env }: Limits,
): Promise<ProcessResult> {
  const start = Date.now()
  return new Promise(resolve => {
    if (over) return
    let child
    try {
      child = spawn(argv[0]!, argv.slice(1), {
        cwd,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...env, NO_COLOR: '1' },
      })
    } catch (error) {
      // a file that is just being written (ETXTBSY), too many processes (EAGAIN)
      return resolve({ code: null, signal: null, text: (error as Error).message, ms: 0 })
    }
    running.add(child)
    let [text, ended, ending] = [
      '',
      undefined as string | undefined,
      undefined as Promise<void> | undefined,
    ]
    const stop = (why: string) => {
      ended ??= `${why} and was ended`
      ending ??= end(child)
    }
    const late = limit && setTimeout(stop, limit, `took longer than ${duration(limit)}`)
    const still = silence && setTimeout(stop, silence, `printed nothing for ${duration(silence)}`)
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', data => {
        text += data
        if (still) still.refresh()
      })
      if (line) createInterface(stream).on('line', line)
    }
    const done = async (code: number | null, signal: NodeJS.Signals | null) => {
      for (const timer of [late, still]) clearTimeout(timer || undefined)
      await ending
      running.delete(child)
      if (!over)
        resolve({ code, signal, text, ...(ended ? { ended } : {}), ms: Date.now() - start })
    }
    child.on('error', error => {
      text += error.message
      // void: it resolves the promise that is returned here
      void done(null, null)
    })
    child.on('close', done)
    // a daemon that it started may hold the streams open: what has come by then is enough
    child.on('exit', (code, signal) => setTimeout(done, 2000, code, signal).unref())
  })
}

/** Ends every program that still runs; nothing that waits for one of them goes on. */
export function endAll(): Promise<unknown> {
  over = true
  return Promise.all([...running].map(end))
}

/**
 * SIGTERM to a program and all its descendants (groups and sessions of their own do not save them),
 * and SIGKILL to what is left after
 * 20 seconds: a test needs some for removing its containers.
 */
async function end(child: ChildProcess): Promise<void> {
  if (!child.pid) return
  const all = family(child.pid)
  signal(all, 'SIGTERM')
  for (let i = 0; i < 200 && all.some(alive); i++) await new Promise(done => setTimeout(done, 100))
  signal([...new Set([...all, ...all.flatMap(family)])], 'SIGKILL')
}

function family(pid: number): number[] {
  const pairs = spawnSync('ps', ['-Ao', 'pid=,ppid='], { encoding: 'utf8' }).stdout ?? ''
  const list = pairs
    .trim()
    .split('\n')
    .map(line => line.trim().split(/\s+/).map(Number))
  const found = [pid]
  for (const parent of found)
    found.push(...list.filter(([, ppid]) => ppid === parent).map(([child]) => child!))
  return found
}

function signal(pids: number[], name: NodeJS.Signals | 0) {
  for (const pid of pids)
    try {
      process.kill(pid, name)
    } catch {
      // gone already
    }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
