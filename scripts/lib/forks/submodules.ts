// The submodules: where .gitmodules and this clone's own settings fetch them from. Nothing is fetched
// from an address that is neither upstream's nor the organisation's fork of it.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, exit } from '../errors.ts'
import { readImageOwner } from '../images/owner.ts'
import { root } from '../repository.ts'
import { callGit, runGit, tryGit } from './git.ts'
import { listForks, type Fork } from './definition.ts'

export interface Submodule {
  /** What git calls it; not always its path. */
  name: string
  path: string
  url: string
  /** The file that says it. */
  file: string
}

/** Where repositories are; GitHub's workflows name another server in GITHUB_SERVER_URL. */
export const gitServer = (): string =>
  (process.env.GITHUB_SERVER_URL || 'https://github.com').replace(/\/$/, '')

/** `owner` and `repo` of an address on GitHub. */
export function parseRepositoryAddress(url: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = new URL(url).pathname.slice(1).split('/')
  return { owner, repo: repo.replace(/\.git$/, '') }
}

/** The address of the organisation's fork; undefined while there is no owner. */
export function forkAddress(fork: Fork, owner = readImageOwner(root).name): string | undefined {
  return owner
    ? `${gitServer()}/${owner}/${parseRepositoryAddress(fork.upstream).repo}.git`
    : undefined
}

/** The submodules of .gitmodules and of this clone's settings, which go before it. */
export async function listSubmodules(folder = root): Promise<Submodule[]> {
  if (!existsSync(join(folder, '.gitmodules'))) return []
  const own = await tryGit(folder, ['rev-parse', '--git-path', 'config'])
  const [asked, local] = await Promise.all([
    readConfig(folder, '.gitmodules'),
    own ? readConfig(folder, own) : [],
  ])
  const pathOf = new Map(
    asked.flatMap(([name, key, value]) => (key === 'path' ? [[name, value]] : [])),
  )
  const urls = (entries: [string, string, string][], file: string) =>
    entries.flatMap(([name, key, url]) =>
      key === 'url' ? [{ name, path: pathOf.get(name) ?? name, url, file }] : [],
    )
  return [...urls(asked, '.gitmodules'), ...urls(local, '.git/config')]
}

/** The settings of submodules in a file: name, key, value. Throws Failure (usage) for one that git cannot read. */
async function readConfig(folder: string, file: string): Promise<[string, string, string][]> {
  const argv = ['config', '--file', file, '--null', '--get-regexp', String.raw`^submodule\.`]
  const { code, stdout, stderr } = await callGit(folder, argv)
  // 1: there is none
  if (code > 1)
    throw new Failure(exit.usage, `Read the submodules of ${file}`, stderr.trim(), {
      next: `correct that line of ${file}`,
    })
  return stdout.split('\0').flatMap(entry => {
    const [, name, key, value] = /^submodule\.(.+)\.(\w+)\n([^]*)$/.exec(entry) ?? []
    return name && key ? [[name, key, value ?? '']] : []
  })
}

/** Without the login that an address may carry. */
const withoutLogin = (url: string): string => url.replace(/\/\/[^/@]*@/, '//')

const comparable = (url: string): string => url.replace(/(\.git)?\/?$/, '').toLowerCase()

/** What is wrong with where submodules come from, a line each. Pure. */
export function findForeignSubmodules(
  submodules: Submodule[],
  forks: Fork[],
  owner: string,
): string[] {
  return submodules.flatMap(({ path, url, file }) => {
    const fork = forks.find(one => one.path === path)
    const allowed = fork ? [fork.upstream, forkAddress(fork, owner) ?? fork.upstream] : []
    if (allowed.map(comparable).includes(comparable(url))) return []
    const known = allowed.length ? [...new Set(allowed)].join(' or ') : 'no fork.yaml names it'
    return [`${path} comes from ${withoutLogin(url)} (${file}); known: ${known}`]
  })
}

/** Throws Failure (refused) when a submodule comes from an address that nobody knows. */
export async function requireKnownSubmodules(folder = root): Promise<void> {
  const submodules = await listSubmodules(folder)
  if (!submodules.length) return
  const { name } = readImageOwner(folder)
  const foreign = findForeignSubmodules(submodules, listForks(folder), name)
  if (!foreign.length) return
  const why = 'a submodule comes from neither upstream nor the organisation’s fork of it'
  throw new Failure(exit.refused, 'Look at the submodules', why, {
    evidence: foreign.join('\n'),
    next: 'git checkout .gitmodules && git submodule sync   (docs/forks.md)',
  })
}

/** What .gitmodules has of a fork. Throws Failure (usage) when it has nothing. */
export async function findSubmodule({ path }: Fork, folder = root): Promise<Submodule> {
  const found = (await listSubmodules(folder)).find(
    one => one.path === path && one.file === '.gitmodules',
  )
  if (!found) throw new Failure(exit.usage, `Look at ${path}`, '.gitmodules does not have it')
  return found
}

/** The address that .gitmodules has of a fork. Throws Failure (usage) when it has none. */
export const addressOf = async (fork: Fork): Promise<string> => (await findSubmodule(fork)).url

/** The commit that this repository has of a fork, as the index says. */
export async function pinnedCommit({ path }: Fork, folder = root): Promise<string> {
  const entry = await runGit(folder, ['ls-files', '--stage', '--', path])
  const [, commit] = /^160000 ([0-9a-f]{40})/.exec(entry) ?? []
  if (!commit) throw new Failure(exit.usage, `Look at ${path}`, 'it is no submodule here')
  return commit
}
