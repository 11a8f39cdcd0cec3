// What a script says: people read stderr, machines read stdout (NDJSON with --json).
import { randomUUID } from 'node:crypto'
import { Failure, exit } from './errors.ts'
import { flushed, isRich, toMachines, toPeople } from './output.ts'
import { endChildren, onInterrupt } from './run.ts'
import { noteStep, writeSummary } from './summary.ts'

const plain = !isRich()
const grouped = process.env.GITHUB_ACTIONS === 'true'
let json = false

const paint = (code: number) => (text: string) => (plain ? text : `\u001b[${code}m${text}\u001b[0m`)
export const color = {
  red: paint(31),
  green: paint(32),
  yellow: paint(33),
  dim: paint(2),
  bold: paint(1),
}

/** Switches stdout to NDJSON events. */
export const jsonOutput = (on: boolean): void => void (json = on)

/** A line for people, on stderr, with known secrets taken out. */
export const say = (text: string): void => toPeople(`${text}\n`)

/** What went wrong and changes no result. */
export function warn(text: string): void {
  say(color.yellow(`  ⚠ ${text}`))
  if (grouped) say(`::warning::${command(text)}`)
}

/** A text as it may stand in a workflow command. */
const command = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')

/** An event for machines, one JSON line on stdout; nothing without --json. */
export function emit(event: string, data: object = {}): void {
  if (json) toMachines(`${JSON.stringify({ event, time: new Date().toISOString(), ...data })}\n`)
}

/** Text that may hold a log: in a workflow nothing in it is taken for a command. */
function quote(text: string): void {
  const end = randomUUID()
  say(grouped ? `::stop-commands::${end}\n${text}\n::${end}::` : text)
}

/** The last result, and the step that is being done. */
let last = ''
let now = ''
onInterrupt(() =>
  writeSummary(new Failure(130, now || 'Begin', 'interrupted', { next: 'the same command again' })),
)

/** A result for people on stdout, unless stdout carries NDJSON. */
export const result = (text: string): void =>
  void ((last = text), json ? say(text) : toMachines(`${text}\n`))

/** Seconds, readable: `0.4 s`, `1 min 05 s`. */
export function duration(ms: number): string {
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
}

/** Bytes, readable: `12.3 MB`. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** Runs a phase and narrates it: its name, then its seconds. Passes on what `work` returns or throws. */
export async function step<T>(name: string, work: () => Promise<T> | T): Promise<T> {
  const start = Date.now()
  now = name
  say(grouped ? `::group::${name}` : `▶ ${name}`)
  emit('step', { name, state: 'started' })
  try {
    const value = await work()
    noteStep(name, duration(Date.now() - start), true)
    say(color.green(`✔ ${name}`) + color.dim(` (${duration(Date.now() - start)})`))
    emit('step', { name, state: 'done', ms: Date.now() - start })
    return value
  } catch (error) {
    noteStep(name, duration(Date.now() - start), false)
    say(color.red(`✘ ${name}`) + color.dim(` (${duration(Date.now() - start)})`))
    emit('step', { name, state: 'failed', ms: Date.now() - start })
    throw error
  } finally {
    if (grouped) say('::endgroup::')
  }
}

/** Aligned columns; the first row is the head. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map(row => (row[column] ?? '').length)),
  )
  return rows
    .map(row =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** What an error says. */
function failureText(failure: Failure): string {
  const lines = [`${color.red('✘ WHAT')}  ${failure.what}`, `  WHY   ${failure.why}`]
  if (failure.evidence) lines.push('  EVIDENCE', failure.evidence.replace(/^/gm, '    '))
  if (failure.next) lines.push(`  NEXT  ${failure.next}`)
  if (failure.serving) lines.push(`  NOW   ${failure.serving}`)
  return lines.join('\n')
}

/** Runs a script's body and ends the process with its exit code; the only place that prints an error. */
export async function main(body: () => Promise<number | void>): Promise<never> {
  let code: number
  try {
    code = (await body()) ?? exit.done
    writeSummary(last || 'done')
  } catch (error) {
    endChildren('SIGTERM')
    code = error instanceof Failure ? error.code : isUsage(error) ? exit.usage : exit.bug
    const failure =
      error instanceof Failure
        ? error
        : new Failure(
            exit.bug,
            isUsage(error) ? 'Read the arguments' : 'Run the script',
            String((error as Error).message ?? error),
            {
              next: isUsage(error)
                ? 'the same command with --help'
                : 'the same command with DEBUG=1 shows where',
            },
          )
    quote(failureText(failure))
    writeSummary(failure)
    if (grouped) say(`::error::${command(`${failure.what}: ${failure.why}`)}`)
    emit('error', {
      code,
      what: failure.what,
      why: failure.why,
      evidence: failure.evidence,
      next: failure.next,
      serving: failure.serving,
    })
    if (process.env.DEBUG && error instanceof Error) say(error.stack ?? '')
  }
  process.exitCode = code
  await flushed()
  process.exit(code)
}

const isUsage = (error: unknown): boolean =>
  error instanceof TypeError &&
  String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')
