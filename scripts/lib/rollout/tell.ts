// What the wait for a rollout says: a live table on a terminal, elsewhere a line for each change; every 15 s what is waited for.
import { saying } from '../listen.ts'
import { liveTable } from '../live-table.ts'
import { isRich } from '../output.ts'
import { color, duration, emit, say } from '../report.ts'
import type { Rollout } from './judge.ts'

/** ms */
const heartbeat = 15_000

export interface Narrator {
  /** Another watch begins; what has been said is not said again. */
  begin: () => void
  /** What has changed; on a terminal with what those say that are waited for. */
  table: (verdicts: Map<string, Rollout>, heard: Map<string, string>) => void
  /** A line of its own. */
  note: (text: string) => void
  /** The API server was asked at `asked` and has not answered. */
  silent: (why: string, asked: number) => void
  answers: () => void
  /** What is waited for, when nothing has been said of it for a while. */
  beat: (verdicts: Map<string, Rollout>, heard: Map<string, string>) => void
}

export function narrator(since: number): Narrator {
  const past = (from: number) => duration(Date.now() - from)
  const { show, leave } = liveTable(since)
  let beaten = Date.now()
  let quiet: { since: number; why: string } | undefined

  const note = say
  const table = (verdicts: Map<string, Rollout>, heard: Map<string, string>) => {
    const rows = [...verdicts].map(([name, { state, detail }]) => ({
      name,
      state,
      detail: isRich() && state === 'waiting' ? saying(detail, heard.get(name)) : detail,
    }))
    for (const { name } of show(rows)) emit('workload', { name, ...verdicts.get(name) })
  }
  const silent = (why: string, asked: number) => {
    if (!quiet)
      note(color.yellow(`  the API server does not answer (${why}); asked again until it does`))
    quiet = { since: quiet?.since ?? asked, why }
  }
  const answers = () => {
    if (quiet) note(`  the API server answers again, after ${past(quiet.since)}`)
    quiet = undefined
  }
  const beat = (verdicts: Map<string, Rollout>, heard: Map<string, string>) => {
    // the table on a terminal says so all the time
    if (isRich() && !quiet) return
    if (Date.now() - beaten < heartbeat) return
    beaten = Date.now()
    const open = [...verdicts]
      .filter(([, { state }]) => state !== 'ready')
      .map(([name, { detail }]) => `${name} (${saying(detail, heard.get(name))})`)
    note(
      color.dim(
        `  ${past(since)}: ${quiet ? `no answer for ${past(quiet.since)}: ${quiet.why}` : `waiting for ${open.join(', ')}`}`,
      ),
    )
  }
  return { begin: leave, table, note, silent, answers, beat }
}
