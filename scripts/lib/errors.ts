// How every script ends: the exit codes, and the error that it prints.

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
