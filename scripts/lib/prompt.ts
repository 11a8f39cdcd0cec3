// Asks the person at the terminal.
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { exit, Failure } from './errors.ts'
import { terminal } from './output.ts'
import { redact } from './redact.ts'

/**
 * The answer to a question; undefined when there is none (Ctrl-D). Ctrl-C ends the script as it
 * does anywhere else.
 */
export async function askQuestion(
  question: string,
  input: NodeJS.ReadableStream = process.stdin,
  output = terminal,
): Promise<string | undefined> {
  const dialogue = createInterface({ input, output })
  dialogue.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  // a terminal that is closed answers nothing any more
  const none = new Promise<undefined>(done => dialogue.once('close', () => done(undefined)))
  const answer = await Promise.race([
    dialogue.question(redact(question)).catch(() => undefined),
    none,
  ])
  dialogue.close()
  return answer?.trim()
}

/** The same for a secret: what is typed is not shown. */
export async function askHidden(question: string): Promise<string | undefined> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  // as a terminal, so that node reads key by key and the terminal does not show them itself
  const answer = askQuestion('', process.stdin, Object.assign(silent, { isTTY: true }))
  terminal.write(redact(question))
  await answer
  terminal.write('\n')
  return answer
}

/**
 * Asks to type a name before what cannot be taken back: `why` it is asked, and what else the question says.
 * Throws Failure (refused) without a terminal, and when something else is typed.
 */
export async function confirmByName(
  what: string,
  name: string,
  why: string,
  question = '',
): Promise<void> {
  if (!process.stdin.isTTY)
    throw new Failure(
      exit.refused,
      what,
      `${why}, and there is no terminal to confirm it at; nothing was touched`,
      { next: 'the same command with --yes' },
    )
  if ((await askQuestion(`${question}Type ${name} to continue: `)) !== name)
    throw new Failure(exit.refused, what, 'not confirmed; nothing was touched')
}
