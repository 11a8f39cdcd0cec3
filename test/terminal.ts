// Runs a program on a pseudo-terminal (`script` is in Debian's essential package bsdutils), and
// reads what a person then sees.
import { spawnSync } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'

export interface Seen {
  code: number
  /** All that was written, control characters too. */
  text: string
  /** The lines that stand there in the end, those that have scrolled away first. */
  lines: string[]
}

export interface Terminal {
  columns: number
  rows: number
  cwd?: string
  env?: Record<string, string | undefined>
}

const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`

/** Throws where there is no such program. */
export function onTerminal(argv: string[], { columns, rows, cwd, env }: Terminal): Seen {
  const command = `stty cols ${columns} rows ${rows} && exec ${argv.map(quote).join(' ')}`
  const plain = {
    TERM: 'xterm',
    SHELL: '/bin/sh',
    NO_COLOR: undefined,
    CI: undefined,
    GITHUB_ACTIONS: undefined,
  }
  const done = spawnSync('script', ['-qec', command, '/dev/null'], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, ...plain, ...env },
    input: '',
    timeout: 60_000,
  })
  if (done.error) throw done.error
  return { code: done.status ?? -1, text: done.stdout, lines: screen(done.stdout, columns, rows) }
}

/**
 * What a terminal makes of a text: it breaks long lines and knows colours, up, erase the line's
 * rest, erase all below.
 */
export function screen(text: string, columns: number, rows: number): string[] {
  const lines = ['']
  let [row, column] = [0, 0]
  const down = () => {
    if (++row === lines.length) lines.push('')
  }
  for (const [part, , count, letter] of text.matchAll(/(\u001b\[([\d;?]*)([A-Za-z]))|[^]/gu)) {
    if (letter === 'A') row = Math.max(0, lines.length - rows, row - Number(count || 1))
    else if (letter === 'K') lines[row] = fit(lines[row]!, column)
    else if (letter === 'J') lines.splice(row, lines.length, fit(lines[row]!, column))
    else if (letter && letter !== 'm')
      throw new Error(`the test's terminal does not know ${JSON.stringify(part)}`)
    else if (part === '\r') column = 0
    else if (part === '\n') down()
    else if (!letter && stripVTControlCharacters(part)) {
      const width = stringWidth(part)
      if (column + width > columns) {
        down()
        column = 0
      }
      const rest = lines[row]!.slice(fit(lines[row]!, column + width).length)
      lines[row] = fit(lines[row]!, column).padEnd(column) + part + rest
      column += width
    }
  }
  return lines
}

/** The first columns of a line. */
function fit(line: string, columns: number): string {
  let kept = ''
  for (const character of line) {
    if (stringWidth(kept + character) > columns) break
    kept += character
  }
  return kept
}
