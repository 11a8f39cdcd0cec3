// A table of what is being waited for: on a terminal redrawn in place, elsewhere a line for each
// change.
import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'
import { isRichTerminal, readTerminalSize, writeStderr, countTerminalWrites } from './output.ts'
import { redact } from './redact.ts'
import { color, formatDuration, say } from './report.ts'

export type ProgressState = 'absent' | 'waiting' | 'ready' | 'failed'

export interface ProgressRow {
  name: string
  state: ProgressState
  /** In words; may be what a container printed. */
  detail: string
}

export interface LiveTable {
  /** Shows the rows as they are now; returns those that have changed. */
  show: (rows: ProgressRow[]) => ProgressRow[]
  /** Draws the next one below, when something changes. */
  leave: () => void
}

const symbols = { absent: '·', waiting: '…', ready: '✔', failed: '✘' }
const paint = { absent: color.dim, waiting: color.yellow, ready: color.green, failed: color.red }
const statesByUrgency: ProgressState[] = ['failed', 'waiting', 'absent', 'ready']
/** Columns of a line where there is no terminal. */
const plainLineColumns = 400

/** A table of what has been waited for since `since` (ms of the clock). */
export function createLiveTable(since: number): LiveTable {
  const shown = new Map<string, string>()
  let drawn: { text: string; lines: number; size: string; written: number } | undefined
  let left = false
  const words = ({ state, detail }: ProgressRow) => `${state} ${detail}`
  const past = () => formatDuration(Date.now() - since)

  function draw(rows: ProgressRow[], changed: boolean) {
    if (changed) left = false
    const { columns, rows: height } = readTerminalSize()
    const at = `${columns}×${height}`
    // what others wrote stands below it, and a terminal of another size has broken its lines differently
    if (drawn?.written !== countTerminalWrites() || drawn.size !== at) drawn = undefined
    if (!drawn && !changed && (left || !hasOpenRows(rows))) return
    const lines = renderLiveTable(rows, past(), columns, height)
    const text = lines.map(line => `${line}\u001b[K\n`).join('')
    if (drawn?.text === text) return
    writeStderr(`${drawn ? `\u001b[${drawn.lines}A` : ''}${text}\u001b[J`)
    drawn = { text, lines: lines.length, size: at, written: countTerminalWrites() }
  }

  const show = (rows: ProgressRow[]) => {
    const changed = rows.filter(row => shown.get(row.name) !== words(row))
    if (isRichTerminal()) draw(rows, changed.length > 0)
    else
      for (const row of changed)
        if (row.state !== 'absent')
          say(`${renderRow(row, nameColumnWidth(rows), plainLineColumns)} (${past()})`)
    for (const row of changed) shown.set(row.name, words(row))
    return changed
  }
  return { show, leave: () => void ([drawn, left] = [undefined, true]) }
}

/** ms between two lines on a wait of which nothing else is said. */
const heartbeatMs = 15_000

/** Called at each look, says now and then how long it has been since `since`, and what is waited for. */
export function createHeartbeat(since: number): (describe: () => string) => void {
  let beaten = Date.now()
  return describe => {
    if (Date.now() - beaten < heartbeatMs) return
    beaten = Date.now()
    say(color.dim(`  ${formatDuration(beaten - since)}: ${describe()}`))
  }
}

const hasOpenRows = (rows: ProgressRow[]): boolean => rows.some(({ state }) => state !== 'ready')

const nameColumnWidth = (rows: ProgressRow[]): number =>
  Math.max(...rows.map(({ name }) => stringWidth(name))) + 2

/**
 * The lines of a table on a terminal: where it is too low for all, the most urgent, and how many
 * more there are; then what is open.
 */
export function renderLiveTable(
  rows: ProgressRow[],
  past: string,
  columns: number,
  height: number,
): string[] {
  const open = rows.filter(({ state }) => state !== 'ready').length
  const foot =
    open && rows.every(({ state }) => state !== 'failed')
      ? [`  ${past}: ${open} of ${rows.length} not ready`]
      : []
  // the cursor stands in a line of its own
  const room = Math.max(1, height - 1 - foot.length)
  const urgent = [...rows].sort(
    (a, b) => statesByUrgency.indexOf(a.state) - statesByUrgency.indexOf(b.state),
  )
  const kept = new Set(rows.length > room ? urgent.slice(0, Math.max(1, room - 1)) : rows)
  const more = rows.length > kept.size ? [`  … and ${rows.length - kept.size} more`] : []
  const width = nameColumnWidth(rows)
  // a line that fills the last column is broken by some terminals
  const body = rows.filter(row => kept.has(row)).map(row => renderRow(row, width, columns - 1))
  return [...body, ...[...more, ...foot].map(text => color.dim(truncateToWidth(text, columns - 1)))]
}

function renderRow({ name, state, detail }: ProgressRow, width: number, columns: number): string {
  return paint[state](
    truncateToWidth(
      `  ${symbols[state]} ${name}${' '.repeat(width - stringWidth(name))}${toOneLine(detail)}`,
      columns,
    ),
  )
}

/**
 * One line without anything that a terminal takes for a command. A secret is looked for last, and
 * before the text is cut: half of one is one, too.
 */
export const toOneLine = (text: string): string =>
  redact(
    stripVTControlCharacters(text)
      .trim()
      .replace(/[\r\n\t]+/g, ' ')
      .replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, ''),
  )

const segmenter = new Intl.Segmenter()

/** As much of a text as fits into so many columns; wide characters take two. */
export function truncateToWidth(text: string, columns: number): string {
  let left = columns
  let kept = ''
  for (const { segment } of segmenter.segment(text)) {
    left -= stringWidth(segment, { ambiguousIsNarrow: false })
    if (left < 0) return kept
    kept += segment
  }
  return kept
}
