// What the wait for a rollout says: a live table on a terminal, elsewhere a line for each change; every 15 s what is waited for.
import { liveTable } from '../live-table.ts'
import { isRich } from '../output.ts'
import { color, duration, emit, say } from '../report.ts'
import type { Rollout } from './judge.ts'

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
  const past = (from: number) => duration(Date.now() - from)
  const { show, leave } = liveTable(since)
  let beaten = Date.now()
  let quiet: { since: number; why: string } | undefined

  const note = say
  const table = (verdicts: Map<string, Rollout>) => {
    for (const { name } of show([...verdicts].map(([name, { state, detail }]) => ({ name, state, detail })))) emit('workload', { name, ...verdicts.get(name) })
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
    // the table on a terminal says so all the time
    if (isRich() && !quiet) return
    if (Date.now() - beaten < heartbeat) return
    beaten = Date.now()
    const open = [...verdicts].filter(([, { state }]) => state !== 'ready').map(([name, { detail }]) => `${name} (${detail})`)
    note(color.dim(`  ${past(since)}: ${quiet ? `no answer for ${past(quiet.since)}: ${quiet.why}` : `waiting for ${open.join(', ')}`}`))
  }
  return { begin: leave, table, note, silent, answers, beat }
}
