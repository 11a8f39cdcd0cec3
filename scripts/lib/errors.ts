// What every script ends with: the exit codes, and the error that it says.

/**
 * Exit codes of all scripts. 129, 130 and 143 (interrupted) come from the signal handler in run.ts.
 */
export const exit = {
  done: 0,
  bug: 1,
  usage: 2,
  refused: 3,
  locked: 4,
  rolledBack: 5,
  broken: 6,
  timeout: 7,
} as const

export type ExitCode = (typeof exit)[keyof typeof exit] | 129 | 130 | 143

/** The lines on exit codes for a script's --help; `codes` are those that it can end with. */
export function exitHelp(...codes: number[]): string {
  const meaning: Record<number, string> = {
    0: 'done, or nothing to do',
    1: 'a bug in the script',
    2: 'wrong usage or configuration',
    3: 'refused before anything was touched',
    4: 'locked by another',
    5: 'failed; the state before it was kept or restored',
    6: 'failed and could not be put back',
    7: 'timed out, the state is not known',
    130: 'interrupted (143 when terminated, 129 when its terminal was closed)',
  }
  return ['Exit codes:', ...codes.map(code => `  ${String(code).padEnd(4)}${meaning[code]}`)].join(
    '\n',
  )
}

interface FailureDetails {
  /** What the system showed: the tail of a log, a list. */
  evidence?: string | undefined
  /** One command that goes on from here. */
  next?: string | undefined
  /** What serves now, where a change has failed. */
  serving?: string | undefined
}

/**
 * An expected failure: `what` was being done to what, `why` it failed; printed without a stack
 * trace.
 */
export class Failure extends Error {
  readonly code: ExitCode
  readonly what: string
  readonly why: string
  readonly evidence: string | undefined
  readonly next: string | undefined
  readonly serving: string | undefined

  constructor(code: ExitCode, what: string, why: string, details: FailureDetails = {}) {
    super(`${what}: ${why}`)
    this.code = code
    this.what = what
    this.why = why
    this.evidence = details.evidence
    this.next = details.next
    this.serving = details.serving
  }
}
