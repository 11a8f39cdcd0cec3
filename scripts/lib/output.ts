// The two streams: people read stderr, machines read stdout. Nobody else writes to either, so that no secret gets past.
import { redact } from './redact.ts'

// whoever read it may be gone (a pipe into `head`, a closed terminal): what is being done goes on to its end all the same
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

let pieces = 0

function write(stream: NodeJS.WriteStream, text: string): void {
  if (stream.isTTY) pieces++
  stream.write(redact(text))
}

/** Text for people, as it stands, with known secrets taken out. */
export const toPeople = (text: string): void => write(process.stderr, text)

/** Text for machines, as it stands, with known secrets taken out. */
export const toMachines = (text: string): void => write(process.stdout, text)

/** How often something has been written to a terminal: who draws over what it drew must know whether something stands below. */
export const written = (): number => pieces

/** Comes when all that machines are to read has left. */
export const flushed = (): Promise<void> =>
  new Promise(done => process.stdout.write('', () => done()))

/** The stream that a question and its answer are shown on. */
export const terminal: NodeJS.WritableStream = process.stderr

/** Whether people read on a terminal, and want more than plain text (https://no-color.org). */
export const isRich = (): boolean =>
  Boolean(process.stderr.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

/** Columns and rows of the terminal; one that does not say has 80 and 24. */
export const size = (): { columns: number; rows: number } => ({
  columns: process.stderr.columns || 80,
  rows: process.stderr.rows || 24,
})
