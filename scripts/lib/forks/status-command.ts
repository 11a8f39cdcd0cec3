// `forks.ts status`: a table, and what is wrong.
import { Failure, exit } from '../errors.ts'
import { emit, printResult, say, step, table } from '../report.ts'
import type { Fork } from './definition.ts'
import { findGitHub } from './github.ts'
import { listForkProblems, readForkStatus, type ForkStatus } from './status.ts'

/** Says it. Throws Failure (refused) when something is wrong, or could not be asked. */
export async function runStatusCommand(forks: Fork[]): Promise<void> {
  const github = await findGitHub()
  const all = await step('Ask upstream and GitHub', () =>
    Promise.all(forks.map(fork => readForkStatus(github, fork))),
  )
  for (const status of all) emit('fork', { ...status })
  const head = ['fork', 'pinned', 'image', 'newest', 'behind by', 'own commits', 'agree']
  printResult(table([head, ...all.map(formatRow)]))
  for (const { fork, offer } of all)
    if (offer) say(`  ${fork}: its changed source is offered at ${offer}`)
  const problems = all.flatMap((status, index) => {
    const fork = forks[index]
    return fork ? listForkProblems(status, fork) : []
  })
  emit('result', { problems })
  if (!problems.length) return
  throw new Failure(exit.refused, 'Look at the forks', 'not all is right', {
    evidence: problems.join('\n'),
    next: all.every(({ unknown }) => unknown.length)
      ? 'the same command, where upstream and GitHub can be reached'
      : 'npx zx scripts/forks.ts bump FORK   (docs/forks.md)',
  })
}

const orUnknown = (value: string | number | undefined): string => String(value ?? '?')

function formatRow(status: ForkStatus): string[] {
  const agree = { true: 'yes', false: 'no', undefined: '?' }[String(status.agrees)] ?? '?'
  return [
    status.fork,
    status.release ?? status.commit.slice(0, 12),
    status.images.join(', '),
    orUnknown(status.newest),
    orUnknown(status.behind),
    orUnknown(status.ownCommits),
    agree,
  ]
}
