// The two streams: people read stderr, machines read stdout. Nothing else writes to them, so that
// no secret gets past.
import { redact } from './redact.ts'

// the reader may be gone (a pipe into `head`, a closed terminal): what is being done goes on
// to its end all the same
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

let [terminalWrites, writes] = [0, 0]

function writeRedacted(stream: NodeJS.WriteStream, text: string): void {
  writes++
  if (stream.isTTY) terminalWrites++
  stream.write(redact(text))
}

/** Text for people, as it stands, with known secrets taken out. */
export const writeStderr = (text: string): void => writeRedacted(process.stderr, text)

/** Text for machines, as it stands, with known secrets taken out. */
export const writeStdout = (text: string): void => writeRedacted(process.stdout, text)

/**
 * How often something has been written to a terminal: who draws over what it drew must know whether
 * something stands below.
 */
export const countTerminalWrites = (): number => terminalWrites

/** How often something has been written, wherever to. */
export const countWrites = (): number => writes

/** Comes when all that machines are to read has left. */
export const flushStdout = (): Promise<void> =>
  new Promise(done => process.stdout.write('', () => done()))

/** The stream that a question and its answer are shown on. */
export const terminal: NodeJS.WritableStream = process.stderr

/** Whether people read on a terminal, and want more than plain text (https://no-color.org). */
export const isRichTerminal = (): boolean =>
  Boolean(process.stderr.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

/** Columns and rows of the terminal; one that does not say has 80 and 24. */
export const readTerminalSize = (): { columns: number; rows: number } => ({
  columns: process.stderr.columns || 80,
  rows: process.stderr.rows || 24,
})
