// A copy of the repository with sources to build from: KGC's checkout and the toolkit's own, both
// git repositories, all images tiny.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commit, git, initialize } from '../../git.ts'
import { sandbox, type Options, type Result, type Started } from '../../sandbox.ts'
import { authority, folder } from './registry.ts'

export const box = sandbox()
export const source = join(folder, 'kgc')

function repository(folder: string, remote: string): void {
  initialize(folder)
  git(folder, 'remote', 'add', 'origin', remote)
}

const dockerfile = 'FROM scratch\nCOPY content /\nCOPY more /\nCMD ["/content"]\n'

/**
 * Gives KGC's checkout new content of `size` bytes an image, all its Dockerfiles written at one
 * time. Out: its commit, which the copy then pins.
 */
export function newSource(size = 1000): string {
  const now = new Date()
  for (const app of ['api', 'web', 'dashboard']) {
    mkdirSync(join(source, `apps/kgc-${app}`), { recursive: true })
    writeFileSync(
      join(source, `apps/kgc-${app}/Dockerfile`),
      dockerfile.replaceAll(/(content|more) \//g, `apps/kgc-${app}/$1 /`),
    )
    utimesSync(join(source, `apps/kgc-${app}/Dockerfile`), now, now)
    for (const name of ['content', 'more'])
      writeFileSync(join(source, `apps/kgc-${app}`, name), randomBytes(size))
  }
  // what KGC's own .dockerignore leaves out, and what migrates needs
  mkdirSync(join(source, 'apps/kgc-api/prisma/migrations/1_first'), { recursive: true })
  writeFileSync(join(source, '.dockerignore'), '**/prisma/migrations\n')
  writeFileSync(join(source, 'pnpm-lock.yaml'), 'importers:\n')
  for (const file of ['schema.prisma', 'seed.ts', 'migrations/1_first/migration.sql'])
    writeFileSync(join(source, 'apps/kgc-api/prisma', file), randomBytes(size))
  if (!existsSync(join(source, '.git'))) repository(source, 'git@github.com:acme/kgc-erp.git')
  return pin(commit(source))
}

/** Pins a commit of KGC in the copy. Out: the commit. */
export function pin(ref: string): string {
  const example = join(box.docker, 'kgc/.env.example')
  writeFileSync(example, readFileSync(example, 'utf8').replace(/^KGC_REF=.*/m, `KGC_REF=${ref}`))
  return ref
}

/** The copy as a repository, with a small image of its own. */
export function ownRepository(): string {
  writeFileSync(
    join(box.docker, 'horilla-hr/Dockerfile'),
    'FROM scratch\nCOPY requirements.txt /\nCMD ["/requirements.txt"]\n',
  )
  writeFileSync(join(box.root, '.gitignore'), 'node_modules\n')
  // the real one's base image and packages are not to be had here
  writeFileSync(
    join(box.docker, 'kgc/migrate.Dockerfile'),
    'FROM scratch\nCOPY pnpm-lock.yaml /\nCOPY apps/kgc-api/prisma /prisma\nCMD ["/prisma"]\n',
  )
  repository(box.root, 'https://x:token@github.com/acme/kgc-stack.git')
  return commit(box.root)
}

const environment = (registry: string, config: string, env: Record<string, string> = {}) => ({
  KGC_REGISTRY: `${registry}/kgc`,
  KGC_SOURCE: source,
  NODE_EXTRA_CA_CERTS: authority,
  DOCKER_CONFIG: config,
  // where the engine keeps its images in containerd's store it asks Docker Hub for what makes it
  KGC_SBOM: 'false',
  GITHUB_TOKEN: '',
  XDG_CACHE_HOME: folder,
  GITHUB_REF_NAME: '',
  GITHUB_OUTPUT: '',
  ...env,
})

/** Runs images.ts of the copy with a registry and a log-in. */
export const images = (
  registry: string,
  config: string,
  argv: string[],
  options: Options = {},
): Result =>
  box.script(['images', ...argv], {
    timeout: 110_000,
    ...options,
    env: environment(registry, config, options.env),
  })

/** The same, while the test goes on. */
export const begin = (registry: string, config: string, argv: string[]): Started =>
  box.start(['images', ...argv], environment(registry, config))
