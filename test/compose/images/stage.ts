// A copy of the repository with sources to build from: KGC's checkout and the toolkit's own, both git repositories, all images tiny.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sandbox, type Options, type Result } from '../../sandbox.ts'
import { authority, folder } from './registry.ts'

export const box = sandbox()
export const source = join(folder, 'kgc')

const who = { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@kgc.hu', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@kgc.hu', GIT_CONFIG_GLOBAL: '/dev/null' }
export const git = (where: string, ...argv: string[]) =>
  execFileSync('git', ['-C', where, ...argv], { encoding: 'utf8', env: { ...process.env, ...who, GIT_COMMITTER_DATE: '2026-11-01T12:00:00+0100' } }).trim()

/** Commits all files. Out: the commit. */
export function commit(where: string, remote?: string): string {
  if (!existsSync(join(where, '.git'))) git(where, 'init', '--quiet', '--initial-branch', 'main')
  if (remote) git(where, 'remote', 'add', 'origin', remote)
  git(where, 'add', '--all')
  git(where, 'commit', '--quiet', '--message', 'x', '--allow-empty')
  return git(where, 'rev-parse', 'HEAD')
}

const dockerfile = 'FROM scratch\nCOPY content /\nCOPY more /\nCMD ["/content"]\n'

/** Gives KGC's checkout new content of `size` bytes an image, all its Dockerfiles written at one time. Out: its commit, which the copy then pins. */
export function newSource(size = 1000): string {
  const now = new Date()
  for (const app of ['api', 'web', 'dashboard']) {
    mkdirSync(join(source, `apps/kgc-${app}`), { recursive: true })
    writeFileSync(join(source, `apps/kgc-${app}/Dockerfile`), dockerfile.replaceAll(/(content|more) \//g, `apps/kgc-${app}/$1 /`))
    utimesSync(join(source, `apps/kgc-${app}/Dockerfile`), now, now)
    for (const name of ['content', 'more']) writeFileSync(join(source, `apps/kgc-${app}`, name), randomBytes(size))
  }
  const fresh = !existsSync(join(source, '.git'))
  const ref = commit(source, fresh ? 'git@github.com:kisgepcentrum/kgc-erp.git' : undefined)
  const example = join(box.docker, 'kgc/.env.example')
  writeFileSync(example, readFileSync(example, 'utf8').replace(/^KGC_REF=.*/m, `KGC_REF=${ref}`))
  return ref
}

/** The copy as a repository, with a small image of its own. */
export function ownRepository(): string {
  writeFileSync(join(box.docker, 'horilla-hr/Dockerfile'), 'FROM scratch\nCOPY requirements.txt /\nCMD ["/requirements.txt"]\n')
  writeFileSync(join(box.root, '.gitignore'), 'node_modules\n')
  return commit(box.root, 'https://x:token@github.com/kisgepcentrum/kgc-stack.git')
}

const environment = (registry: string, config: string, env: Record<string, string> = {}) => ({
  KGC_REGISTRY: `${registry}/kgc`,
  KGC_SOURCE: source,
  NODE_EXTRA_CA_CERTS: authority,
  DOCKER_CONFIG: config,
  GITHUB_TOKEN: '',
  GITHUB_REF_NAME: '',
  GITHUB_OUTPUT: '',
  ...env,
})

/** Runs images.ts of the copy with a registry and a log-in. */
export const images = (registry: string, config: string, argv: string[], options: Options = {}): Result =>
  box.script(['images', ...argv], { timeout: 110_000, ...options, env: environment(registry, config, options.env) })

/** The same, while the test goes on. */
export function begin(registry: string, config: string, argv: string[]): { child: ChildProcess; text: () => string; ended: Promise<number> } {
  const env = { ...process.env, NO_COLOR: '1', ...environment(registry, config) }
  const child = spawn(process.execPath, ['--import=tsx', 'scripts/images.ts', ...argv], { cwd: box.root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (text += data))
  return { child, text: () => text, ended: new Promise(done => child.on('exit', code => done(code ?? -1))) }
}
