// What a script says: people read stderr, machines read stdout (NDJSON with --json).
import { randomUUID } from 'node:crypto'
import { Failure, exit } from './errors.ts'
import { countWrites, flushStdout, isRichTerminal, writeStdout, writeStderr } from './output.ts'
import { onInterrupt, signalChildren } from './interrupt.ts'
import { addSummaryStep, writeJobSummary } from './job-summary.ts'

const plain = !isRichTerminal()
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
export const setJsonOutput = (on: boolean): void => void (json = on)

/** A line for people, on stderr, with known secrets taken out. */
export const say = (text: string): void => writeStderr(`${text}\n`)

/** What went wrong and changes no result. */
export function warn(text: string): void {
  say(color.yellow(`  ⚠ ${text}`))
  if (grouped) say(`::warning::${escapeCommand(text)}`)
}

/** A text as it may stand in a workflow command. */
const escapeCommand = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')

/** An event for machines, one JSON line on stdout; nothing without --json. */
export function emit(event: string, data: object = {}): void {
  if (json) writeStdout(`${JSON.stringify({ event, time: new Date().toISOString(), ...data })}\n`)
}

/** Text that may hold a log: in a workflow nothing in it is taken for a command. */
function sayQuoted(text: string): void {
  const end = randomUUID()
  say(grouped ? `::stop-commands::${end}\n${text}\n::${end}::` : text)
}

/** The last result, and the step that is being done. */
let lastResult = ''
let currentStep = ''
let describeServing: (() => string) | undefined
/** Who knows what serves while the script is at work; an interrupt says it. */
export const onServingAsked = (describe: typeof describeServing): void =>
  void (describeServing = describe)

onInterrupt(() => {
  const serving = describeServing?.()
  if (serving) say(`  NOW   ${serving}`)
  writeJobSummary(
    new Failure(130, currentStep || 'Begin', 'interrupted', {
      next: 'the same command again',
      ...(serving ? { serving } : {}),
    }),
  )
})

/** A result for people on stdout, unless stdout carries NDJSON. */
export function printResult(text: string): void {
  lastResult = text
  if (json) say(text)
  else writeStdout(`${text}\n`)
}

/** Seconds, readable: `0.4 s`, `1 min 05 s`. */
export function formatDuration(ms: number): string {
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
}

/** Bytes, readable: `12.3 MB`. */
export const formatMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** ms after which a step that says nothing says that it is at work. */
export const quietStepMs = { most: 30_000 }

function sayWhenQuiet(name: string, start: number): NodeJS.Timeout {
  let written = countWrites()
  const look = () => {
    if (countWrites() === written)
      say(color.dim(`  … ${formatDuration(Date.now() - start)}: ${name}`))
    written = countWrites()
  }
  return setInterval(look, quietStepMs.most).unref()
}

/**
 * Runs a step and narrates it: its name, then its seconds. Passes on what `work` returns or
 * throws.
 */
export async function step<T>(name: string, work: () => Promise<T> | T): Promise<T> {
  const start = Date.now()
  currentStep = name
  say(grouped ? `::group::${name}` : `▶ ${name}`)
  emit('step', { name, state: 'started' })
  const quiet = sayWhenQuiet(name, start)
  try {
    const value = await work()
    addSummaryStep(name, formatDuration(Date.now() - start), true)
    say(color.green(`✔ ${name}`) + color.dim(` (${formatDuration(Date.now() - start)})`))
    emit('step', { name, state: 'done', ms: Date.now() - start })
    return value
  } catch (error) {
    addSummaryStep(name, formatDuration(Date.now() - start), false)
    say(color.red(`✘ ${name}`) + color.dim(` (${formatDuration(Date.now() - start)})`))
    emit('step', { name, state: 'failed', ms: Date.now() - start })
    throw error
  } finally {
    clearInterval(quiet)
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
function formatFailure(failure: Failure): string {
  const lines = [`${color.red('✘ WHAT')}  ${failure.what}`, `  WHY   ${failure.why}`]
  if (failure.evidence) lines.push('  EVIDENCE', failure.evidence.replace(/^/gm, '    '))
  if (failure.next) lines.push(`  NEXT  ${failure.next}`)
  if (failure.serving) lines.push(`  NOW   ${failure.serving}`)
  return lines.join('\n')
}

/** What is said of an error that is no Failure: of wrong arguments, or of a bug. */
function wrapError(error: unknown): Failure {
  const why = String((error as Error).message ?? error)
  return isUsageError(error)
    ? new Failure(exit.usage, 'Read the arguments', why, { next: 'the same command with --help' })
    : new Failure(exit.bug, 'Run the script', why, {
        next: 'the same command with DEBUG=1 shows where',
      })
}

/**
 * Runs a script's body and ends the process with its exit code; the only place that prints an
 * error.
 */
export async function main(body: () => Promise<number | void>): Promise<never> {
  let code: number
  try {
    code = (await body()) ?? exit.done
    writeJobSummary(lastResult || 'done')
  } catch (error) {
    signalChildren('SIGTERM')
    const failure = error instanceof Failure ? error : wrapError(error)
    code = failure.code
    sayQuoted(formatFailure(failure))
    writeJobSummary(failure)
    if (grouped) say(`::error::${escapeCommand(`${failure.what}: ${failure.why}`)}`)
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
  await flushStdout()
  process.exit(code)
}

const isUsageError = (error: unknown): boolean =>
  error instanceof TypeError &&
  String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')
