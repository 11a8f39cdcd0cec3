// A table of what is being waited for: on a terminal redrawn in place, elsewhere a line for each change.
import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'
import { isRich, size, toPeople, written } from './output.ts'
import { redact } from './redact.ts'
import { color, duration, say } from './report.ts'

export type State = 'absent' | 'waiting' | 'ready' | 'failed'

export interface Row {
  name: string
  state: State
  /** In words; may be what a container printed. */
  detail: string
}

export interface LiveTable {
  /** Shows the rows as they are now; returns those that have changed. */
  show: (rows: Row[]) => Row[]
  /** Draws the next one below, when something changes. */
  leave: () => void
}

const symbols = { absent: '·', waiting: '…', ready: '✔', failed: '✘' }
const paint = { absent: color.dim, waiting: color.yellow, ready: color.green, failed: color.red }
const urgency: State[] = ['failed', 'waiting', 'absent', 'ready']
/** Columns of a line where there is no terminal. */
const broad = 400

/** A table of what has been waited for since `since` (ms of the clock). */
export function liveTable(since: number): LiveTable {
  const shown = new Map<string, string>()
  let drawn: { text: string; lines: number; size: string; written: number } | undefined
  let left = false
  const words = ({ state, detail }: Row) => `${state} ${detail}`
  const past = () => duration(Date.now() - since)

  function draw(rows: Row[], changed: boolean) {
    if (changed) left = false
    const { columns, rows: height } = size()
    const at = `${columns}×${height}`
    // what others wrote stands below it, and a terminal of another size has broken its lines anew
    if (drawn?.written !== written() || drawn.size !== at) drawn = undefined
    if (!drawn && !changed && (left || !isOpen(rows))) return
    const lines = picture(rows, past(), columns, height)
    const text = lines.map(line => `${line}\u001b[K\n`).join('')
    if (drawn?.text === text) return
    toPeople(`${drawn ? `\u001b[${drawn.lines}A` : ''}${text}\u001b[J`)
    drawn = { text, lines: lines.length, size: at, written: written() }
  }

  const show = (rows: Row[]) => {
    const changed = rows.filter(row => shown.get(row.name) !== words(row))
    if (isRich()) draw(rows, changed.length > 0)
    else
      for (const row of changed)
        if (row.state !== 'absent') say(`${line(row, widest(rows), broad)} (${past()})`)
    for (const row of changed) shown.set(row.name, words(row))
    return changed
  }
  return { show, leave: () => void ([drawn, left] = [undefined, true]) }
}

const isOpen = (rows: Row[]): boolean => rows.some(({ state }) => state !== 'ready')

const widest = (rows: Row[]): number => Math.max(...rows.map(({ name }) => stringWidth(name))) + 2

/** The lines of a table on a terminal: where it is too low for all, the most urgent, and how many more there are; then what is open. */
export function picture(rows: Row[], past: string, columns: number, height: number): string[] {
  const open = rows.filter(({ state }) => state !== 'ready').length
  const foot =
    open && rows.every(({ state }) => state !== 'failed')
      ? [`  ${past}: ${open} of ${rows.length} not ready`]
      : []
  // the cursor stands in a line of its own
  const room = Math.max(1, height - 1 - foot.length)
  const urgent = [...rows].sort((a, b) => urgency.indexOf(a.state) - urgency.indexOf(b.state))
  const kept = new Set(rows.length > room ? urgent.slice(0, Math.max(1, room - 1)) : rows)
  const more = rows.length > kept.size ? [`  … and ${rows.length - kept.size} more`] : []
  const width = widest(rows)
  // a line that fills the last column is broken by some terminals
  const body = rows.filter(row => kept.has(row)).map(row => line(row, width, columns - 1))
  return [...body, ...[...more, ...foot].map(text => color.dim(cut(text, columns - 1)))]
}

function line({ name, state, detail }: Row, width: number, columns: number): string {
  return paint[state](
    cut(
      `  ${symbols[state]} ${name}${' '.repeat(width - stringWidth(name))}${oneLine(detail)}`,
      columns,
    ),
  )
}

/** One line without anything that a terminal takes for a command. A secret is looked for last, and before the text is cut: half of one is one, too. */
export const oneLine = (text: string): string =>
  redact(
    stripVTControlCharacters(text)
      .trim()
      .replace(/[\r\n\t]+/g, ' ')
      .replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, ''),
  )

const characters = new Intl.Segmenter()

/** As much of a text as fits into so many columns; wide characters take two. */
export function cut(text: string, columns: number): string {
  let left = columns
  let kept = ''
  for (const { segment } of characters.segment(text)) {
    left -= stringWidth(segment, { ambiguousIsNarrow: false })
    if (left < 0) return kept
    kept += segment
  }
  return kept
}
