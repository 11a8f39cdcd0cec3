// Git as a test uses it, whatever this machine's settings are; the time of every commit is the
// same.
import { execFileSync } from 'node:child_process'

const who = {
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@kgc.hu',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@kgc.hu',
}
const env = {
  ...process.env,
  ...who,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_COMMITTER_DATE: '2026-11-01T12:00:00+0100',
}

/** Out: what it prints. */
export const git = (folder: string, ...argv: string[]): string =>
  execFileSync('git', ['-C', folder, ...argv], { encoding: 'utf8', env }).trim()

/** Makes a folder a repository. */
export const initialize = (folder: string): string =>
  git(folder, 'init', '--quiet', '--initial-branch', 'main')

/** Commits these paths, or all. Out: the commit. */
export function commit(folder: string, message = 'change', paths = ['--all']): string {
  git(folder, 'add', ...paths)
  git(folder, 'commit', '--quiet', '--allow-empty', '--message', message)
  return git(folder, 'rev-parse', 'HEAD')
}
