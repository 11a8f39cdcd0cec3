// What the wait for a rollout says: a live table on a terminal, elsewhere a line for each change; every 15 s what is waited for.
import { redact } from '../redact.ts'
import { color, duration, emit, say } from '../report.ts'
import type { Rollout } from './judge.ts'

const symbols = { waiting: '…', ready: '✔', failed: '✘' }
const paint = { waiting: color.yellow, ready: color.green, failed: color.red }
/** ms */
const heartbeat = 15_000

export interface Narrator {
  /** Another watch begins; what has been said is not said again. */
  begin: () => void
  /** What has changed. */
  table: (verdicts: Map<string, Rollout>) => void
  /** A line of its own. */
  note: (text: string) => void
  /** The API server was asked at `asked` and has not answered. */
  silent: (why: string, asked: number) => void
  answers: () => void
  /** What is waited for, when nothing has been said of it for a while. */
  beat: (verdicts: Map<string, Rollout>) => void
}

export function narrator(since: number): Narrator {
  const live = process.stderr.isTTY && !process.env.NO_COLOR
  const past = (from: number) => duration(Date.now() - from)
  const shown = new Map<string, string>()
  let drawn = false
  let beaten = Date.now()
  let quiet: { since: number; why: string } | undefined

  const begin = () => void (drawn = false)
  // the table cannot be drawn over what stands below it
  const note = (text: string) => {
    drawn = false
    say(text)
  }
  const table = (verdicts: Map<string, Rollout>) => {
    const all = [...verdicts]
    const width = Math.max(...all.map(([name]) => name.length)) + 2
    const line = ([name, { state, detail }]: [string, Rollout]) =>
      paint[state](`  ${symbols[state]} ${name.padEnd(width)}${redact(detail).split('\n')[0]!}`.slice(0, live ? (process.stderr.columns || 80) - 1 : 400))
    const changed = all.filter(([name, { state, detail }]) => shown.get(name) !== `${state} ${detail}`)
    if (live && changed.length) say((drawn ? `\u001b[${all.length}A` : '') + all.map(one => `\u001b[2K${line(one)}`).join('\n'))
    drawn ||= changed.length > 0
    if (!live) for (const one of changed) say(`${line(one)} (${past(since)})`)
    for (const [name, one] of changed) emit('workload', { name, ...one })
    for (const [name, { state, detail }] of all) shown.set(name, `${state} ${detail}`)
  }
  const silent = (why: string, asked: number) => {
    if (!quiet) note(color.yellow(`  the API server does not answer (${why}); asked again until it does`))
    quiet = { since: quiet?.since ?? asked, why }
  }
  const answers = () => {
    if (quiet) note(`  the API server answers again, after ${past(quiet.since)}`)
    quiet = undefined
  }
  const beat = (verdicts: Map<string, Rollout>) => {
    if (Date.now() - beaten < heartbeat) return
    beaten = Date.now()
    const open = [...verdicts].filter(([, { state }]) => state !== 'ready').map(([name, { detail }]) => `${name} (${detail})`)
    note(color.dim(`  ${past(since)}: ${quiet ? `no answer for ${past(quiet.since)}: ${quiet.why}` : `waiting for ${open.join(', ')}`}`))
  }
  return { begin, table, note, silent, answers, beat }
}
