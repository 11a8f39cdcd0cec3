// The commit of this repository that a change comes from.
import { Failure, exit } from '../../errors.ts'
import { dockerFolder } from '../../repository.ts'
import { run } from '../../run.ts'

/** The commit that is deployed; in CI it must be one that everybody can look at. */
export async function readDeployCommit(): Promise<string | undefined> {
  const git = async (...argv: string[]) =>
    (await run(['git', '-C', dockerFolder, ...argv], { nothrow: true })).stdout.trim()
  const [commit, changes] = await Promise.all([
    git('rev-parse', 'HEAD'),
    git('status', '--porcelain', '--untracked-files=no'),
  ])
  if (process.env.CI === 'true') {
    const fail = (why: string) =>
      new Failure(exit.refused, 'Check the commit', why, {
        next: 'deploy a pushed commit from a fresh checkout',
      })
    if (!commit) throw fail('this is no git repository')
    if (changes) throw fail(`files are changed: ${changes.split('\n').slice(0, 3).join(', ')}`)
    if (
      process.env.GITHUB_SHA !== commit &&
      !(await git('branch', '--remotes', '--contains', commit))
    )
      throw fail(`${commit.slice(0, 12)} is on no branch of the remote`)
  }
  return commit ? `${commit}${changes ? '-dirty' : ''}` : undefined
}
