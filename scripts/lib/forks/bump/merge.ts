// Carries a fork's own commits over to another release. It happens beside the checkout: what is there
// stays as it is until all has gone well.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure, exit } from '../../errors.ts'
import { say } from '../../report.ts'
import { root } from '../../repository.ts'
import { checkOutCommit, checkoutFolder, isCheckedOut } from '../checkout.ts'
import type { Fork } from '../definition.ts'
import { callGit, runGit, tryGit } from '../git.ts'
import type { ReleaseTag } from '../upstream-tags.ts'

/** What a fork is pinned to next. */
export interface MergedRelease {
  commit: string
  /** The branch that holds own commits and the release; '' where there are no own commits. */
  branch: string
  ownCommits: number
}

/** The branch of a fork that carries its own commits on a release. */
const branchOf = ({ version }: ReleaseTag): string => `kgc/${version}`

/**
 * The commit that has the release and all that the fork has of its own. Throws Failure (refused)
 * with the files that conflict; then nothing has changed.
 */
export async function mergeOwnCommits(
  fork: Fork,
  address: string,
  pinned: string,
  release: ReleaseTag,
): Promise<MergedRelease> {
  const plain = { commit: release.commit, branch: '', ownCommits: 0 }
  if (address === fork.upstream || Object.values(fork.seen).includes(pinned)) return plain
  if (!(await isCheckedOut(fork, address, pinned))) await checkOutCommit(fork, address, pinned)
  await fetchHistory(fork, pinned, release)
  const ownCommits = await countOwnCommits(fork, pinned, release)
  if (!ownCommits) return plain
  const branch = branchOf(release)
  const commit =
    (await findFinishedMerge(fork, branch, [pinned, release.commit])) ??
    (await mergeBeside(fork, branch, pinned, release))
  return { commit, branch, ownCommits }
}

/** The commits alone: files come when the merge looks at them. */
const commitsOnly = ['fetch', '--quiet', '--no-tags', '--filter=tree:0']

async function fetchHistory(fork: Fork, pinned: string, release: ReleaseTag): Promise<void> {
  const folder = checkoutFolder(fork)
  const isShallow = (await runGit(folder, ['rev-parse', '--is-shallow-repository'])) === 'true'
  if (isShallow) {
    const argv = [...commitsOnly, '--unshallow']
    const { code } = await callGit(folder, [...argv, 'origin', pinned])
    if (code !== 0) await runGit(folder, [...argv, 'upstream', pinned])
  }
  const what = `Fetch ${release.name} of ${fork.name}`
  await runGit(folder, [...commitsOnly, 'upstream', release.commit], what)
}

/** How many commits the pin has that no branch of upstream has, nor the release. */
async function countOwnCommits(fork: Fork, pinned: string, release: ReleaseTag): Promise<number> {
  const folder = checkoutFolder(fork)
  const count = async (...not: string[]) =>
    Number(await runGit(folder, ['rev-list', '--count', pinned, '--not', release.commit, ...not]))
  if (!(await count())) return 0
  await runGit(folder, [...commitsOnly, 'upstream'], `Fetch the branches of ${fork.upstream}`)
  return count('--remotes=upstream')
}

/** A merge that a person has finished by hand, or an earlier run has. */
async function findFinishedMerge(
  fork: Fork,
  branch: string,
  parts: string[],
): Promise<string | undefined> {
  const folder = checkoutFolder(fork)
  const head = await tryGit(folder, ['rev-parse', '--quiet', '--verify', `refs/heads/${branch}`])
  if (!head) return undefined
  for (const part of parts)
    if ((await callGit(folder, ['merge-base', '--is-ancestor', part, head])).code !== 0)
      throw new Failure(
        exit.refused,
        `Use the branch ${branch} of ${fork.path}`,
        `it does not contain ${part.slice(0, 12)}`,
        { next: `git -C ${fork.path} merge ${part}   (on ${branch}), then the same command` },
      )
  say(`  ${fork.name}: ${branch} has the release and the fork's own commits already`)
  return head
}

async function mergeBeside(
  fork: Fork,
  branch: string,
  pinned: string,
  release: ReleaseTag,
): Promise<string> {
  const folder = checkoutFolder(fork)
  const beside = mkdtempSync(join(tmpdir(), 'kgc-merge-'))
  try {
    await runGit(folder, ['worktree', 'add', '--quiet', '--detach', beside, pinned])
    const how = ['merge', '--quiet', '--no-ff', '--message', `Merge ${release.name}`]
    const done = await callGit(beside, [...(await readIdentity()), ...how, release.commit])
    if (done.code !== 0) throw await conflictFailure(fork, beside, branch, pinned, release, done)
    const merged = await runGit(beside, ['rev-parse', 'HEAD'])
    await runGit(folder, ['update-ref', `refs/heads/${branch}`, merged, '0'.repeat(40)])
    return merged
  } finally {
    await callGit(folder, ['worktree', 'remove', '--force', beside])
    rmSync(beside, { recursive: true, force: true })
    await callGit(folder, ['worktree', 'prune'])
  }
}

/** Who commits here commits there: a fork's checkout has no identity of its own. */
async function readIdentity(): Promise<string[]> {
  const keys = ['user.name', 'user.email']
  const values = await Promise.all(keys.map(key => tryGit(root, ['config', key])))
  return keys.flatMap((key, i) => (values[i] ? ['-c', `${key}=${values[i]}`] : []))
}

async function conflictFailure(
  fork: Fork,
  beside: string,
  branch: string,
  pinned: string,
  release: ReleaseTag,
  { stdout, stderr }: { stdout: string; stderr: string },
): Promise<Failure> {
  const files = (await tryGit(beside, ['diff', '--name-only', '--diff-filter=U'])) ?? ''
  const why = files
    ? `the fork’s own commits conflict with it in ${files.split('\n').length} files; nothing was changed`
    : 'git could not merge it; nothing was changed'
  const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-12).join('\n')
  return new Failure(exit.refused, `Merge ${release.name} into ${fork.path}`, why, {
    evidence: files || said,
    next: `git -C ${fork.path} switch -c ${branch} ${pinned} && git -C ${fork.path} merge ${release.commit}   (resolve, commit, then the same command again)`,
  })
}
