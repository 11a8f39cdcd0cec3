// What others will see is asked for first.
import { Failure, exit } from '../errors.ts'
import { askQuestion } from '../prompt.ts'
import { say } from '../report.ts'

/**
 * Asks whether public things may be made, `yes` for an answer that was given in advance. Throws
 * Failure (refused) for a no, and without a terminal.
 */
export async function confirmPublic(plan: string[], yes: boolean, command: string): Promise<void> {
  if (!plan.length) return
  say(['Others will see this:', ...plan.map(line => `  ${line}`)].join('\n'))
  if (yes) return
  const answer = process.stdin.isTTY ? await askQuestion('Go on? [y/N] ') : undefined
  if (/^y(es)?$/i.test(answer ?? '')) return
  throw new Failure(exit.refused, 'Ask before anything public', 'not confirmed', {
    evidence: plan.join('\n'),
    next: `${command} --yes`,
  })
}
