// Runs commands whose input or output is of any length.
import { spawn } from 'node:child_process'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { blockWhenEnding, children, signalGroup } from '../interrupt.ts'
import { writeStderr } from '../output.ts'
import { finishRun } from '../run.ts'

/**
 * Runs a command whose input or output is bytes of any length, which nobody keeps: `write` gets its
 * input, `read` its output. Comes with what `read` returns; throws Failure with the end of stderr
 * when it ends non-zero, whatever was read.
 */
export async function runBytes<T>(
  argv: string[],
  what: string,
  read: (output: Readable) => Promise<T>,
  write: (input: Writable) => Promise<unknown> = async input => input.end(),
): Promise<T> {
  await blockWhenEnding()
  if (process.env.DEBUG) writeStderr(`$ ${argv.join(' ')}\n`)
  const start = Date.now()
  const child = spawn(argv[0]!, argv.slice(1), { detached: true, stdio: 'pipe' })
  children.add(child)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  // who ends before it has read all of its input says more by its exit code than by EPIPE
  child.stdin.on('error', () => {})
  const ended = new Promise<number>((done, fail) =>
    child.on('error', fail).on('close', code => done(code ?? 137)),
  )
  // node throws away what nobody reads yet when the process ends
  const output = child.stdout.pipe(new PassThrough())
  const [written, result] = await Promise.allSettled([write(child.stdin), read(output)])
  if (written.status === 'rejected' || result.status === 'rejected') {
    signalGroup(child, 'SIGTERM')
    // one that nobody reads any more would never end, nor would what has ended before
    child.stdout.unpipe(output).resume()
  }
  const code = await ended
  children.delete(child)
  await blockWhenEnding()
  if (written.status === 'rejected') throw written.reason
  if (result.status === 'rejected') throw result.reason
  finishRun(argv, { what }, { stdout: '', stderr, code, ms: Date.now() - start })
  return result.value
}
