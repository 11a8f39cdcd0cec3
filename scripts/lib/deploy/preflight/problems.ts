// Collects the problems that prevent a change, and reports them all at once.
import { Failure, exit } from '../../errors.ts'

/** Collects what is wrong. */
export class PreflightProblems {
  readonly messages: string[] = []

  /** What `work` returns; undefined when it fails, which is remembered. */
  async check<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.add(`${error.what}: ${error.why}${error.next ? `; ${error.next}` : ''}`)
      return undefined
    }
  }

  add(...words: string[]): void {
    for (const one of words) if (!this.messages.includes(one)) this.messages.push(one)
  }

  /** What explains all the others. */
  addFirst(words: string): void {
    this.messages.unshift(words)
  }

  /** Throws Failure (refused) with all that is wrong, if something is. */
  throwIfAny(what: string): void {
    if (this.messages.length) throw this.toFailure(what)
  }

  /** All that is wrong as one Failure (refused). */
  toFailure(what: string): Failure {
    const [first, ...more] = this.messages
    const why = more.length
      ? `${this.messages.length} reasons, nothing was touched`
      : `${first}; nothing was touched`
    return new Failure(exit.refused, what, why, {
      evidence: more.length ? this.messages.map(one => `- ${one}`).join('\n') : undefined,
      next: 'fix it, then the same command again',
    })
  }
}
