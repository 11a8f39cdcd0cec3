// A small stack of one application whose source is a submodule, with upstream and the organisation on
// servers of this machine.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { commit, git, initialize } from '../../git.ts'
import { gitServer } from '../../git-server.ts'
import { gitHubStandIn, type StandInRepository } from '../../github.ts'
import { sandbox } from '../../sandbox.ts'

// each stack removes its folders at the end
process.setMaxListeners(0)

const compose = (version: string) => `services:
  shop:
    image: \${SHOP_IMAGE:-127.0.0.1:7070/acme/shop:v${version}}
  shop-worker:
    image: 127.0.0.1:7070/acme/shop:v${version}@sha256:${'a'.repeat(64)}
`
const kubernetes = (version: string) => `spec:
  containers:
    - image: 127.0.0.1:7070/acme/shop:v${version} # pinned
`
const readme = (version: string) => `# Shop ${version}\nNothing older than 1.0.0.\n`
const rules = `export const upgradePaths = [
  { image: /shop$/, forbids: (from, to) => from[0] < 2 && to[0] > 2 ? 'Shop goes to 3 by way of v2.0.0' : undefined },
]
`

/** Writes files, given by path and text, into a folder. */
export function writeAll(folder: string, files: Record<string, string | Buffer>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

/**
 * Starts all of it. Upstream acme/shop has v1.0.0 (annotated), v1.1.0, v3.0.0 and a beta; the stack is at
 * v1.0.0, and nothing is fetched yet.
 */
export async function shop({ owner = 'kgc', license = 'AGPL-3.0', upstream = makeUpstream } = {}) {
  const server = await gitServer()
  const box = sandbox(['scripts', 'package.json', 'tsconfig.json', '.npmrc'])
  const source = join(box.root, '..', `${box.root.split('/').at(-1)}-shop`)
  mkdirSync(source)
  process.once('exit', () => execFileSync('rm', ['-rf', source]))
  const tags = upstream(source)
  server.serve('acme/shop', source)
  const about: Record<string, StandInRepository> = {
    'acme/shop': {
      releases: { 'v1.1.0': 'Fixes #12 by @somebody, see https://github.com/acme/shop/pull/12' },
    },
  }
  const github = await gitHubStandIn({
    repositories: about,
    organizations: ['kgc'],
    onFork: (from, to) => server.serve(to, server.folder(from)),
  })
  const fork = `# kept as it is
path: forks/shop
upstream: ${server.address('acme/shop')}
license: ${license}
tag: "v{version}"
released: "127.0.0.1:7070/acme/shop:v{version}"
mentions:
  - { file: docs/shop.md, text: "Shop {version}" }
seen:
  v1.0.0: ${tags['v1.0.0']}
`
  writeAll(box.root, {
    '.gitignore': 'node_modules\n',
    '.gitmodules': `[submodule "forks/shop"]\n\tpath = forks/shop\n\turl = ${server.address('acme/shop')}\n\tshallow = true\n`,
    '.env.example': 'A=b\n',
    'docs/shop.md': readme('1.0.0'),
    'infra/docker/docker-compose.yml': 'services: {}\n',
    'infra/docker/shop/.env.example': `#@ pinned format=owner\nKGC_OWNER=${owner}\n`,
    'infra/docker/shop/docker-compose.yml': compose('1.0.0'),
    'infra/docker/shop/fork.yaml': fork,
    'infra/docker/shop/upgrade-paths.ts': rules,
    'infra/k8s/base/shop/web.yaml': kubernetes('1.0.0'),
  })
  mkdirSync(join(box.root, 'forks/shop'), { recursive: true })
  initialize(box.root)
  git(box.root, 'add', '--all')
  const pin = (at: string) =>
    git(box.root, 'update-index', '--add', '--cacheinfo', `160000,${at},forks/shop`)
  pin(tags['v1.0.0']!)
  git(box.root, 'commit', '--quiet', '--message', 'start')
  server.serve('kgc/stack', box.root)
  git(box.root, 'remote', 'add', 'origin', server.address('kgc/stack'))
  git(box.root, 'config', 'user.name', 'test')
  git(box.root, 'config', 'user.email', 'test@kgc.hu')
  const env = { ...github.env, GITHUB_SERVER_URL: server.url, GIT_CONFIG_GLOBAL: '/dev/null' }
  return {
    box,
    server,
    github,
    about: github.repositories,
    tags,
    env,
    source,
    /** The checkout. */
    checkout: join(box.root, 'forks/shop'),
    read: (path: string) => readFileSync(join(box.root, path), 'utf8'),
    run: (words: string[], more: Record<string, string> = {}) =>
      box.inProcess(['forks', ...words], { ...env, ...more }),
    /** Pins another commit, and commits that. */
    pin: (at: string) => {
      git(box.root, 'add', '.gitmodules')
      pin(at)
      git(box.root, 'commit', '--quiet', '--message', 'pin')
      // past the server, which this process is
      git(box.root, 'push', '--quiet', server.folder('kgc/stack'), 'main')
    },
    /** Takes over what upstream's repository here has got since. */
    publish: () => {
      for (const what of ['--all', '--tags'])
        git(source, 'push', '--quiet', '--force', what, server.folder('acme/shop'))
    },
    close: () => {
      server.close()
      github.close()
    },
  }
}

export type Shop = Awaited<ReturnType<typeof shop>>

/** Out: the commit of each release. */
function makeUpstream(folder: string): Record<string, string> {
  initialize(folder)
  const tags: Record<string, string> = {}
  for (const version of ['1.0.0', '1.1.0', '3.0.0']) {
    writeAll(folder, { 'app.txt': `${version}\n`, 'lib/a.txt': 'a\n', 'lib/b.txt': 'b\n' })
    tags[`v${version}`] = commit(folder, version)
    git(folder, 'tag', ...(version === '1.0.0' ? ['-a', '-m', 'one'] : []), `v${version}`)
    if (version === '1.1.0') git(folder, 'tag', 'beta/v2.0.0')
  }
  return tags
}
