// A fork's checkout: only the pinned commit, and its files when they are needed.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Failure, exit } from '../errors.ts'
import { say } from '../report.ts'
import { root } from '../repository.ts'
import type { Fork } from './definition.ts'
import { callGit, runGit, tryGit } from './git.ts'
import { removeStaleLocks } from './lock.ts'

/** The folder of a fork's checkout. */
export const checkoutFolder = ({ path }: Fork): string => join(root, path)

/** Where the checkout's repository is; undefined while there is none. */
async function repositoryFolder(folder: string): Promise<string | undefined> {
  if (!existsSync(join(folder, '.git'))) return undefined
  return resolve(folder, (await tryGit(folder, ['rev-parse', '--git-dir'])) ?? '.git')
}

/** Stands in a repository while its files are checked out: who finds it goes on with that. */
const marker = 'kgc-checkout'

/** Whether a checkout has come to its end: from then on it may hold somebody's work. */
const isComplete = (gitFolder: string | undefined): boolean =>
  gitFolder !== undefined &&
  existsSync(join(gitFolder, 'index')) &&
  !existsSync(join(gitFolder, marker))

/**
 * Makes the checkout, or goes on with one that was interrupted: `origin` and `upstream`, the commit
 * alone, detached. Throws Failure (refused) before it would lose a change or a commit.
 */
export async function checkOutCommit(fork: Fork, origin: string, commit: string): Promise<void> {
  const folder = checkoutFolder(fork)
  const before = await repositoryFolder(folder)
  if (isComplete(before)) await requireNothingToLose(fork, commit)
  if (before && !isComplete(before)) removeStaleLocks(before)
  if (!before) await createRepository(fork)
  await setRemotes(fork, origin)
  await fetchCommit(fork, commit)
  await checkOutFiles(folder, commit)
  // the place where git looks for a submodule's repository
  await runGit(root, ['submodule', 'absorbgitdirs', fork.path])
}

/** Throws Failure (refused) for a folder that somebody has put files into. */
async function createRepository(fork: Fork): Promise<void> {
  const folder = checkoutFolder(fork)
  mkdirSync(folder, { recursive: true })
  if (readdirSync(folder).length)
    throw new Failure(exit.refused, `Check out ${fork.path}`, 'it has files and is no checkout', {
      next: `mv ${fork.path} ${fork.path}.old`,
    })
  await runGit(folder, ['init', '--quiet'])
}

/** Upstream is read and never written to. */
async function setRemotes(fork: Fork, origin: string): Promise<void> {
  const folder = checkoutFolder(fork)
  for (const [name, url] of Object.entries({ origin, upstream: fork.upstream })) {
    await runGit(folder, ['config', `remote.${name}.url`, url])
    const heads = `+refs/heads/*:refs/remotes/${name}/*`
    await runGit(folder, ['config', `remote.${name}.fetch`, heads])
  }
  await runGit(folder, ['config', 'remote.upstream.pushurl', 'never-push-to-upstream'])
}

/** Keeps a commit when a later pin takes its place; it stands there once the commit is fetched. */
const pinnedRef = (commit: string): string => `refs/kgc/pinned/${commit}`

const hasPinnedRef = async (folder: string, commit: string): Promise<boolean> =>
  (await runGit(folder, ['for-each-ref', '--count=1', pinnedRef(commit)])) !== ''

/** Fetches one commit, from upstream when the fork does not have it. */
async function fetchCommit(fork: Fork, commit: string): Promise<void> {
  const folder = checkoutFolder(fork)
  if (await hasPinnedRef(folder, commit)) return
  const how = ['fetch', '--quiet', '--no-tags', '--depth=1', '--filter=blob:none']
  const fetch = (remote: string) => [...how, remote, `${commit}:${pinnedRef(commit)}`]
  const what = `Fetch ${commit.slice(0, 12)} of ${fork.name}`
  const { code, stderr } = await callGit(folder, fetch('origin'))
  if (code === 0) return
  // a connection that broke off says nothing about what is there
  const isAbsent = /not our ref|unadvertised object/.test(stderr)
  if (isAbsent)
    say(`  ${fork.name}: origin does not have ${commit.slice(0, 12)}, so it comes from upstream`)
  await runGit(folder, fetch(isAbsent ? 'upstream' : 'origin'), what)
}

async function checkOutFiles(folder: string, commit: string): Promise<void> {
  const what = `Check out ${commit.slice(0, 12)} in ${folder}`
  const mark = join((await repositoryFolder(folder)) ?? folder, marker)
  writeFileSync(mark, `${commit}\n`)
  await runGit(folder, ['update-ref', '--no-deref', 'HEAD', commit], what)
  await runGit(folder, ['reset', '--quiet', '--hard', commit], what)
  rmSync(mark)
}

/** Throws Failure (refused) when another commit here would lose a change or a commit. */
async function requireNothingToLose(fork: Fork, commit: string): Promise<void> {
  const folder = checkoutFolder(fork)
  const head = await runGit(folder, ['rev-parse', 'HEAD'])
  const refuse = (why: string, next: string) =>
    new Failure(exit.refused, `Check out ${fork.path}`, why, { next })
  const changed = await runGit(folder, ['status', '--porcelain'])
  if (changed) throw refuse('it has changes that are in no commit', `git -C ${fork.path} stash -u`)
  const kept = await runGit(folder, ['for-each-ref', '--contains', head, '--count=1'])
  if (!kept && head !== commit)
    throw refuse(
      `its commit ${head.slice(0, 12)} is on no branch`,
      `git -C ${fork.path} branch my-work`,
    )
}

/** Whether the checkout is at this commit, with all that belongs to it and these remotes. */
export async function isCheckedOut(fork: Fork, origin: string, commit: string): Promise<boolean> {
  const folder = checkoutFolder(fork)
  const gitFolder = await repositoryFolder(folder)
  if (!isComplete(gitFolder)) return false
  const [head, url, upstream] = await Promise.all([
    tryGit(folder, ['rev-parse', 'HEAD']),
    tryGit(folder, ['config', 'remote.origin.url']),
    tryGit(folder, ['config', 'remote.upstream.url']),
  ])
  return head === commit && url === origin && upstream === fork.upstream
}
