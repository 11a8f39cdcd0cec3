// Processes that run a test file each, and then the next: to start Node, tsx and the library anew
// for each file takes more than most files do.
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { duration, end, start, type ProcessResult } from './process.ts'

/** Stands on both streams behind what a file has printed; on standard output its exit code follows. */
export const mark = '\u0000ended'

const program = join(import.meta.dirname, 'shared-process.ts')

export class FilePool {
  #idle: ChildProcess[] = []
  #env

  /** `env` is added to this process's own. */
  constructor(env: Record<string, string> = {}) {
    this.#env = env
  }

  /** Runs a file of the repository; never throws. One that takes longer than `limit` ms is ended. */
  run(file: string, limit: number): Promise<ProcessResult> {
    const begin = Date.now()
    const child =
      this.#idle.pop() ??
      start([process.execPath, '--import=tsx', program], { env: this.#env, channel: true })
    const text = { stdout: '', stderr: '' }
    return new Promise(resolve => {
      const done = (
        code: number | null,
        signal: NodeJS.Signals | null = null,
        ended: { ended?: string } = {},
      ) => {
        clearTimeout(late)
        child.off('exit', done)
        for (const name of ['stdout', 'stderr'] as const) child[name]!.removeAllListeners('data')
        const printed = Object.values(text).map(one => one.split(mark)[0])
        resolve({ code, signal, text: printed.join(''), ms: Date.now() - begin, ...ended })
      }
      const late = setTimeout(() => {
        const ended = `took longer than ${duration(limit)} and was ended`
        void end(child).then(() => done(null, null, { ended }))
      }, limit)
      for (const name of ['stdout', 'stderr'] as const)
        child[name]!.on('data', data => {
          text[name] += data
          if (!Object.values(text).every(one => one.includes(mark))) return
          this.#idle.push(child)
          done(Number(text.stdout.split(mark)[1]))
        })
      child.once('exit', done)
      child.send(file)
    })
  }

  /** Ends the processes that wait for a file. */
  async end(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map(end))
  }
}
