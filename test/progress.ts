// What a test run says: each file as it ends, every 30 seconds how far it is, and at its end what
// took long and what failed.
import { duration } from './process.ts'
import { isHeld, type JudgedTable } from './table.ts'

export interface Count {
  passed: number
  failed: number
  skipped: number
}

interface File {
  name: string
  group: string
}

/** ms between two lines that say how far it is. */
const beat = 30_000

export class Progress {
  #start = Date.now()
  #running = new Map<string, number>()
  #sum: Count = { passed: 0, failed: 0, skipped: 0 }
  #failed: string[] = []
  #ended: (File & { ms: number; at: number })[] = []
  #files
  #timer

  constructor(files: File[]) {
    this.#files = files
    this.#timer = setInterval(() => this.#say(), beat)
  }

  starts(name: string) {
    this.#running.set(name, Date.now())
  }

  /** A file has come to its end; its output is shown where it is needed, in one piece. */
  ended(file: File, count: Count, ms: number, output: string) {
    this.#running.delete(file.name)
    this.#ended.push({ ...file, ms, at: Date.now() })
    for (const key of ['passed', 'failed', 'skipped'] as const) this.#sum[key] += count[key]
    if (count.failed) this.#failed.push(file.name)
    const words = `${count.passed} passed, ${count.failed} failed${count.skipped ? `, ${count.skipped} skipped` : ''}`
    const shown = count.failed || count.skipped ? `\n${output.trimEnd().replace(/^/gm, '  ')}` : ''
    console.log(`${count.failed ? '✘' : '✔'} ${file.name}  ${words} (${duration(ms)})${shown}`)
  }

  /** What groups need is there, or why it is not. */
  provided(name: string, ms: number, why?: string) {
    this.#running.delete(name)
    if (why) this.#fails(`${name}: ${why}`)
    else if (ms > 1000) console.log(`✔ ${name} (${duration(ms)})`)
  }

  /** Files that cannot be run. */
  skips(files: File[], why: string) {
    const groups = [...new Set(files.map(({ group }) => group))]
    console.log(`✘ ${groups.join(', ')}  ${files.length} files not run: ${why}`)
    this.#files = this.#files.filter(file => !files.includes(file))
  }

  /** The last words, with the tables that were judged. Out: the exit code. */
  end(tables: JudgedTable[]): number {
    clearInterval(this.#timer)
    for (const table of tables) if (table.rows.length) this.#table(table)
    const { passed, failed, skipped } = this.#sum
    if (this.#ended.length) this.#times()
    for (const name of this.#failed) console.log(`✘ ${name}`)
    if (skipped) console.log(`${skipped} skipped`)
    console.log(`${passed} passed, ${failed} failed`)
    return failed || !passed ? 1 : 0
  }

  #fails(words: string) {
    this.#sum.failed++
    this.#failed.push(words.split(':')[0]!)
    console.log(`✘ ${words}`)
  }

  /** Each row that does not hold counts as a failure. */
  #table({ title, rows }: JudgedTable) {
    console.log(title)
    for (const row of rows) {
      const { name, fault, tests, why, open } = row
      const sign = isHeld(row) ? '✔' : '✘'
      console.log(`${open ? '–' : sign} ${name}: ${fault}`)
      if (open) console.log(`    open: ${open}`)
      for (const [i, test] of tests.entries())
        console.log(`    ${test.join(': ')}${why[i] && `: ${why[i]}`}`)
      if (isHeld(row)) continue
      this.#sum.failed++
      this.#failed.push(name)
    }
  }

  #say() {
    const running = [...this.#running].map(
      ([name, since]) => `${name} (${duration(Date.now() - since)})`,
    )
    const failed = this.#failed.length ? `, ${this.#failed.length} failed` : ''
    console.log(
      `… ${duration(Date.now() - this.#start)}: ${this.#ended.length} of ${this.#files.length} files${failed}; at work: ${running.join(', ')}`,
    )
  }

  /**
   * How long each group took, from the start of its first file to the end of its last, and its
   * files in sum; and what took longest.
   */
  #times() {
    for (const group of new Set(this.#ended.map(({ group }) => group))) {
      const mine = this.#ended.filter(file => file.group === group)
      const took =
        Math.max(...mine.map(({ at }) => at)) - Math.min(...mine.map(({ at, ms }) => at - ms))
      console.log(
        `${group}: ${mine.length} files in ${duration(took)}, ${duration(mine.reduce((sum, { ms }) => sum + ms, 0))} in sum`,
      )
    }
    const longest = this.#ended.toSorted((a, b) => b.ms - a.ms).slice(0, 8)
    console.log(`Longest: ${longest.map(({ name, ms }) => `${name} ${duration(ms)}`).join(', ')}`)
    console.log(`In all: ${duration(Date.now() - this.#start)}`)
  }
}
