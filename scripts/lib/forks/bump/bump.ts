// `forks.ts bump`: a fork, its image and the docs go to another release together, on a branch and in
// a pull request.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure, exit } from '../../errors.ts'
import type { GitHubRepository } from '../../github/client.ts'
import { requireGitHubRepository } from '../../github/environment-settings.ts'
import { emit, printResult, say, step } from '../../report.ts'
import { root } from '../../repository.ts'
import { checkoutFolder } from '../checkout.ts'
import { confirmPublic } from '../confirm.ts'
import type { Fork } from '../definition.ts'
import { callGit, runGit, tryGit } from '../git.ts'
import { findRepository, type Repository } from '../github.ts'
import { withForksLock } from '../lock.ts'
import { mergeOwnCommits, type MergedRelease } from './merge.ts'
import { describeBump, openPullRequest } from '../pull-request.ts'
import { planBump, reportPlan, type BumpPlan } from './plan.ts'
import { rewriteRelease } from './rewrite.ts'

/** Bumps a fork to a release, the newest where none is named; `dry`: only says what it would do. */
export async function runBumpCommand(
  fork: Fork,
  wanted: string | undefined,
  { dry, yes }: { dry: boolean; yes: boolean },
): Promise<void> {
  // Pre-flight: nothing is touched.
  const plan = await step(`Look for a release of ${fork.name}`, () => planBump(fork, wanted))
  if (!plan) return printResult(`${fork.name} is at its newest release: nothing to do.`)
  reportPlan(plan)
  if (dry) return
  const github = await requireGitHubRepository(root)
  const repository = await requireThisRepository(github)
  await requireDefaultBranch(repository)

  // Impact: first what only this clone sees.
  await withForksLock(async () => {
    const merged = await step(`Take ${plan.release.name}`, () =>
      mergeOwnCommits(fork, plan.address, plan.pinned, plan.release),
    )
    await step(`Commit to ${plan.branch}`, () => commitBump(plan, merged))
    await publish(plan, merged, github, repository, yes)
  })
}

async function requireThisRepository(github: GitHubRepository): Promise<Repository> {
  const { owner, repo } = github
  const found = await findRepository(github, { owner, repo })
  if (found) return found
  const why = 'the token does not see it'
  throw new Failure(exit.refused, `Ask for ${owner}/${repo}`, why, {
    next: 'gh auth login, with the right `repo`',
  })
}

/** A pull request must not bring along what a person has committed here besides. */
async function requireDefaultBranch({ default_branch: branch }: Repository): Promise<void> {
  const what = 'Look at what is committed here'
  await runGit(root, ['fetch', '--quiet', 'origin', branch], what)
  const own = await runGit(root, ['rev-list', '--count', 'HEAD', '--not', 'FETCH_HEAD'])
  if (own === '0') return
  throw new Failure(exit.refused, what, `${own} commits here are not in origin/${branch}`, {
    next: `git switch ${branch} && git pull`,
  })
}

/** Commits the bump to its branch, beside the working tree. A branch that has it already is kept. */
async function commitBump(plan: BumpPlan, { commit }: MergedRelease): Promise<void> {
  const { fork, branch } = plan
  const there = await tryGit(root, [
    'rev-parse',
    '--quiet',
    '--verify',
    `refs/heads/${branch}:${fork.path}`,
  ])
  if (there === commit) return say(`  ${branch} has it already`)
  if (there)
    throw new Failure(exit.refused, `Commit to ${branch}`, 'the branch has another commit of it', {
      next: `git branch -D ${branch}, then the same command again`,
    })
  const beside = mkdtempSync(join(tmpdir(), 'kgc-bump-'))
  try {
    await runGit(root, ['worktree', 'add', '--quiet', '--detach', beside, 'HEAD'])
    await writeBump(beside, plan, commit)
  } finally {
    await callGit(root, ['worktree', 'remove', '--force', beside])
    rmSync(beside, { recursive: true, force: true })
    await callGit(root, ['worktree', 'prune'])
  }
}

async function writeBump(folder: string, plan: BumpPlan, commit: string): Promise<void> {
  const { fork, from, release, released, branch, title } = plan
  const files = rewriteRelease(folder, fork, from, release, released)
  for (const file of files) say(`  ${file}`)
  await runGit(folder, ['add', '--', ...files])
  await runGit(folder, ['update-index', '--cacheinfo', `160000,${commit},${fork.path}`])
  await runGit(folder, ['commit', '--quiet', '--message', title])
  await runGit(folder, ['branch', branch])
}

async function publish(
  plan: BumpPlan,
  merged: MergedRelease,
  github: GitHubRepository,
  repository: Repository,
  yes: boolean,
): Promise<void> {
  const { fork, branch, title } = plan
  const publicly = [
    ...(merged.branch ? [`push ${merged.branch} to ${plan.address}`] : []),
    `push ${branch} to ${repository.full_name}`,
    `open the pull request "${title}"`,
  ]
  say(`  ${branch} is in this clone alone until now`)
  const command = `npx zx scripts/forks.ts bump ${fork.name} ${plan.release.name}`
  await confirmPublic(publicly, yes, command)
  if (merged.branch)
    await step(`Push ${merged.branch}`, () => pushBranch(checkoutFolder(fork), merged.branch))
  await step(`Push ${branch}`, () => pushBranch(root, branch))
  const body = await describeBump(github, fork, plan.release, merged, plan.released)
  const url = await step('Open the pull request', () =>
    openPullRequest(github, repository, { branch, title, body }),
  )
  emit('result', { url, branch, commit: merged.commit })
  printResult(url)
}

const pushBranch = (folder: string, branch: string): Promise<string> =>
  runGit(folder, ['push', '--quiet', 'origin', `refs/heads/${branch}`], `Push ${branch}`)
