// The organisation's fork on GitHub: looked for, and made.
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, exit } from '../errors.ts'
import type { GitHubRepository } from '../github/client.ts'
import { say } from '../report.ts'
import { root } from '../repository.ts'
import type { Fork } from './definition.ts'
import { callGit } from './git.ts'
import { askGitHub, findRepository, type Repository } from './github.ts'
import { forkAddress, parseRepositoryAddress } from './submodules.ts'

export interface ForkRepository {
  fork: Fork
  owner: string
  /** Its address for git. */
  url: string
  /** What is there now. */
  found: Repository | undefined
}

const isSame = (a: string | undefined, b: string): boolean => a?.toLowerCase() === b.toLowerCase()

const renamed = ({ full_name: name }: Repository): string => `its name is ${name} now`

/** Looks for the fork. Throws Failure (refused) when its name is taken by something else. */
export async function findForkRepository(
  github: GitHubRepository,
  fork: Fork,
  owner: string,
): Promise<ForkRepository> {
  const upstream = parseRepositoryAddress(fork.upstream)
  const at = { owner, repo: upstream.repo }
  const found = await findRepository(github, at)
  const above = `${upstream.owner}/${upstream.repo}`
  // a repository that was renamed answers by its new name
  const known = [found?.parent?.full_name, found?.source?.full_name]
  if (found && !(found.fork && known.some(name => isSame(name, above))))
    throw new Failure(
      exit.refused,
      `Look for the fork ${owner}/${at.repo}`,
      `a repository of that name is there, and it is no fork of ${above}`,
      { next: 'rename it on GitHub; nothing was touched' },
    )
  // the old name leads there only until somebody takes it
  if (found && !isSame(found.full_name, `${owner}/${at.repo}`))
    throw new Failure(exit.refused, `Look for the fork ${owner}/${at.repo}`, renamed(found), {
      next: `rename it to ${at.repo} on GitHub; nothing was touched`,
    })
  return { fork, owner, found, url: forkAddress(fork, owner) ?? '' }
}

/** Whether GitHub may still be copying it, after a run that ended meanwhile. */
export const isNew = ({ created_at: made }: Repository): boolean =>
  Date.now() - Date.parse(made ?? '') < 600_000

/** Makes the fork: its name at once, its commits in the background. */
export async function createForkRepository(
  github: GitHubRepository,
  { fork, owner }: ForkRepository,
): Promise<void> {
  const upstream = parseRepositoryAddress(fork.upstream)
  const what = `Fork ${upstream.owner}/${upstream.repo} into ${owner}`
  const right = '`administration: write` and `contents: write` in the organisation'
  const account = await askGitHub(github, what, right, ({ rest }) =>
    rest.users.getByUsername({ username: owner }),
  )
  const organization = account.type === 'Organization' ? { organization: owner } : {}
  const made = await askGitHub(github, what, right, ({ rest }) =>
    rest.repos.createFork({ ...upstream, ...organization, name: upstream.repo }),
  )
  if (!isSame(made.full_name, `${owner}/${upstream.repo}`))
    // it answers with a fork that is there under another name, and that may hold somebody's work
    throw new Failure(exit.rolledBack, what, `its fork there is ${made.full_name}`, {
      next: `rename it to ${upstream.repo} on GitHub, then the same command again`,
    })
}

/** Waits until git can read it. Throws Failure (timeout) with what git said. */
export async function waitForRepository(url: string): Promise<void> {
  const until = Date.now() + 300_000
  for (let pause = 250; ; pause = Math.min(pause * 2, 10_000)) {
    const { code, stdout, stderr } = await callGit(root, ['ls-remote', '--heads', url], 60_000)
    if (code === 0 && stdout) return
    if (Date.now() + pause > until)
      throw new Failure(exit.timeout, `Read ${url}`, 'git cannot after 5 minutes', {
        evidence: stderr.trim(),
        next: 'the same command again: GitHub goes on by itself',
      })
    say(`  ${url}: GitHub is still copying`)
    await sleep(pause)
  }
}
