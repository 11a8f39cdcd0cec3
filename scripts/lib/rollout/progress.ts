// What the wait for a rollout says: a live table on a terminal, elsewhere a line for each change;
// every 15 s what is waited for.
import { appendLogLine } from '../log-poller.ts'
import { createLiveTable } from '../progress.ts'
import { isRichTerminal } from '../output.ts'
import { color, formatDuration, emit, say } from '../report.ts'
import type { WorkloadStatus } from './workload.ts'

/** ms */
const heartbeatMs = 15_000

export interface RolloutProgress {
  /** Another watch begins; what has been said is not said again. */
  start: () => void
  /** What has changed; on a terminal with what those say that are waited for. */
  showTable: (verdicts: Map<string, WorkloadStatus>, heard: Map<string, string>) => void
  /** A line of its own. */
  printLine: (text: string) => void
  /** The API server was asked at `asked` and has not answered. */
  reportNoAnswer: (why: string, asked: number) => void
  reportAnswer: () => void
  /** What is waited for, when nothing has been said of it for a while. */
  showHeartbeat: (verdicts: Map<string, WorkloadStatus>, heard: Map<string, string>) => void
}

export function createRolloutProgress(since: number): RolloutProgress {
  const past = (from: number) => formatDuration(Date.now() - from)
  const { show, leave } = createLiveTable(since)
  let beaten = Date.now()
  let quiet: { since: number; why: string } | undefined

  const note = say
  const table = (verdicts: Map<string, WorkloadStatus>, heard: Map<string, string>) => {
    const rows = [...verdicts].map(([name, { state, detail }]) => ({
      name,
      state,
      detail:
        isRichTerminal() && state === 'waiting' ? appendLogLine(detail, heard.get(name)) : detail,
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
  const beat = (verdicts: Map<string, WorkloadStatus>, heard: Map<string, string>) => {
    // the table on a terminal says so all the time
    if (isRichTerminal() && !quiet) return
    if (Date.now() - beaten < heartbeatMs) return
    beaten = Date.now()
    const open = [...verdicts]
      .filter(([, { state }]) => state !== 'ready')
      .map(([name, { detail }]) => `${name} (${appendLogLine(detail, heard.get(name))})`)
    note(
      color.dim(
        `  ${past(since)}: ${quiet ? `no answer for ${past(quiet.since)}: ${quiet.why}` : `waiting for ${open.join(', ')}`}`,
      ),
    )
  }
  return {
    start: leave,
    showTable: table,
    printLine: note,
    reportNoAnswer: silent,
    reportAnswer: answers,
    showHeartbeat: beat,
  }
}
