// Progress of a rollout: a live table on a terminal, elsewhere a line for each change; every 15 s
// what is waited for.
import { appendLogLine } from '../log-poller.ts'
import { createHeartbeat, createLiveTable } from '../progress.ts'
import { isRichTerminal } from '../output.ts'
import { color, formatDuration, emit, say } from '../report.ts'
import type { WorkloadStatus } from './status.ts'

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

/** A status as machines read it. */
function toEvent(name: string, status: WorkloadStatus | undefined): object {
  const { logSource: speaks, readySinceMs: since, ...rest } = status ?? {}
  return { name, ...rest, speaks, since }
}

export function createRolloutProgress(since: number): RolloutProgress {
  const past = (from: number) => formatDuration(Date.now() - from)
  const { show, leave } = createLiveTable(since)
  const beat = createHeartbeat(since)
  let quiet: { since: number; why: string } | undefined

  const note = say
  const table = (verdicts: Map<string, WorkloadStatus>, heard: Map<string, string>) => {
    const rows = [...verdicts].map(([name, { state, detail }]) => ({
      name,
      state,
      detail:
        isRichTerminal() && state === 'waiting' ? appendLogLine(detail, heard.get(name)) : detail,
    }))
    for (const { name } of show(rows)) emit('workload', toEvent(name, verdicts.get(name)))
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
  const heartbeat = (verdicts: Map<string, WorkloadStatus>, heard: Map<string, string>) => {
    // the table on a terminal says so all the time
    if (isRichTerminal() && !quiet) return
    beat(() => {
      if (quiet) return `no answer for ${past(quiet.since)}: ${quiet.why}`
      const open = [...verdicts].filter(([, { state }]) => state !== 'ready')
      const words = open.map(
        ([name, { detail }]) => `${name} (${appendLogLine(detail, heard.get(name))})`,
      )
      return `waiting for ${words.join(', ')}`
    })
  }
  return {
    start: leave,
    showTable: table,
    printLine: note,
    reportNoAnswer: silent,
    reportAnswer: answers,
    showHeartbeat: heartbeat,
  }
}
