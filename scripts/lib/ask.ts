// Asks the person at the terminal.
import { createInterface } from 'node:readline/promises'

/** The answer to a question; undefined when there is none (Ctrl-D). Ctrl-C ends the script as it does anywhere else. */
export async function ask(question: string, input: NodeJS.ReadableStream = process.stdin, output: NodeJS.WritableStream = process.stderr): Promise<string | undefined> {
  const terminal = createInterface({ input, output })
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  // a terminal that is closed answers nothing any more
  const none = new Promise<undefined>(done => terminal.once('close', () => done(undefined)))
  const answer = await Promise.race([terminal.question(question).catch(() => undefined), none])
  terminal.close()
  return answer?.trim()
}
