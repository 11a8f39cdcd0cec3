// Starts the programs of a test run and sees to it that they end, with all that came of them.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'

export interface Done {
  code: number | null
  /** Both streams, as they came. */
  text: string
  /** Took longer than it may. */
  late: boolean
  ms: number
}

const running = new Set<ChildProcess>()
let over = false

/** Runs a program of the repository with no standard input; never throws. `live` shows its output as it comes. */
export function execute(argv: string[], options: { timeout: number; live?: boolean }): Promise<Done> {
  const start = Date.now()
  return new Promise(resolve => {
    const child = spawn(argv[0]!, argv.slice(1), { cwd: join(import.meta.dirname, '..'), stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } })
    running.add(child)
    let text = ''
    let ending: Promise<void> | undefined
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', data => {
        text += data
        if (options.live) process.stdout.write(data)
      })
    const timer = setTimeout(() => (ending = end(child)), options.timeout)
    const done = async (code: number | null) => {
      clearTimeout(timer)
      await ending
      running.delete(child)
      if (!over) resolve({ code, text, late: Boolean(ending), ms: Date.now() - start })
    }
    child.on('error', error => ((text += error.message), void done(null)))
    child.on('close', done)
    // a daemon that it started may hold the streams open: what has come by then is enough
    child.on('exit', code => setTimeout(done, 2000, code).unref())
  })
}

/** Ends every program that still runs; nothing that waits for one of them goes on. */
export function endAll(): Promise<unknown> {
  over = true
  return Promise.all([...running].map(end))
}

/**
 * SIGTERM to a program and all its descendants (groups and sessions of their own do not save them), and SIGKILL to what is left after
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
  const list = pairs.trim().split('\n').map(line => line.trim().split(/\s+/).map(Number))
  const found = [pid]
  for (const parent of found) found.push(...list.filter(([, ppid]) => ppid === parent).map(([child]) => child!))
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
