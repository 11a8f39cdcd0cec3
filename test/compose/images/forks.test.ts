// Forks of the shape of the real ones (twentyhq/twenty packages/twenty-docker/twenty/Dockerfile,
// chatwoot/chatwoot docker/Dockerfile), as submodules.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { commit, git, initialize } from '../../git.ts'
import { sandbox } from '../../sandbox.ts'

const test = suite('forks')
const box = sandbox()
const base = 'kgc-demo/base:trixie'
const registry = `kgc-test/forks-${process.pid}`
const file = join(box.docker, 'docker-compose.build.yml')
const right = readFileSync(file, 'utf8')

// Docker 20.10's builder runs what no stage after it needs, too: the last stage alone says which
// one was asked for
const twenty = `FROM ${base} AS twenty
ARG APP_VERSION
ENV APP_VERSION=$APP_VERSION
FROM twenty AS twenty-app-dev
EXPOSE 2020
`
// as git reads it: the machine has no image with git in it
const chatwoot = `FROM ${base} AS pre-builder
WORKDIR /app
COPY . /app
RUN cd .git && cat HEAD > ../.git_sha && cd .. && rm -rf .git && rm .gitignore
FROM ${base}
COPY --from=pre-builder /app /app
`

/**
 * Puts files into a repository of its own and that into forks/ as a submodule, with a commit that
 * the fork is at.
 */
function fork(name: string, files: Record<string, string>): string {
  const upstream = join(box.root, 'upstream', name)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(upstream, path)), { recursive: true })
    writeFileSync(join(upstream, path), text)
  }
  initialize(upstream)
  const at = commit(upstream)
  git(
    box.root,
    '-c',
    'protocol.file.allow=always',
    'submodule',
    '--quiet',
    'add',
    upstream,
    `forks/${name}`,
  )
  return at
}

initialize(box.root)
fork('twenty', { 'packages/twenty-docker/twenty/Dockerfile': twenty })
const at = fork('chatwoot', {
  'docker/Dockerfile': chatwoot,
  '.gitignore': 'node_modules\n',
  'lib/chatwoot_app.rb': 'MIT\n',
  'enterprise/LICENSE': 'not MIT\n',
  'spec/enterprise/x_spec.rb': 'not MIT\n',
  'spec/x_spec.rb': 'MIT\n',
})
writeFileSync(join(box.root, '.gitignore'), 'node_modules\nupstream\ncache\n')
commit(box.root)

const docker = (...argv: string[]) => spawnSync('docker', argv, { encoding: 'utf8' })
const build = (text: string, target: string) => {
  writeFileSync(file, text)
  return box.script(['images', 'build', target], {
    env: { KGC_REGISTRY: registry, XDG_CACHE_HOME: join(box.root, 'cache') },
  })
}
/** What an image says of itself. */
const configOf = (target: string) =>
  JSON.parse(
    docker('image', 'inspect', '--format', '{{json .Config}}', `${registry}/${target}:fork`).stdout,
  ) as { Env: string[]; ExposedPorts?: object }

test("Twenty's image is the server, with its version; without its target it is the all-in-one for development", () => {
  const version = /\{ APP_VERSION: (\S+)/.exec(right)![1]
  const done = build(right, 'twenty-fork')
  assert.is(done.code, 0, done.stderr)
  assert.not.ok(configOf('twenty-fork').ExposedPorts)
  assert.ok(configOf('twenty-fork').Env.includes(`APP_VERSION=${version}`))
  assert.is(
    build(
      right.replace(/^ *target: twenty\n/m, '').replace(/^ *args: \{ APP_VERSION.*\n/m, ''),
      'twenty-fork',
    ).code,
    0,
  )
  assert.equal(configOf('twenty-fork').ExposedPorts, { '2020/tcp': {} })
  assert.not.ok(configOf('twenty-fork').Env.includes(`APP_VERSION=${version}`))
})

test("Chatwoot's image is the community edition and knows its commit; as the submodule is it cannot be built", () => {
  assert.match(readFileSync(join(box.root, 'forks/chatwoot/.git'), 'utf8'), /^gitdir: /)
  const done = build(right, 'chatwoot-fork')
  assert.is(done.code, 0, done.stderr)
  const list = docker(
    'run',
    '--rm',
    '--network',
    'none',
    `${registry}/chatwoot-fork:fork`,
    'sh',
    '-c',
    'cd /app && cat .git_sha && find . -type f | sort',
  )
  assert.equal(list.stdout.trim().split('\n'), [
    at,
    './.git_sha',
    './docker/Dockerfile',
    './lib/chatwoot_app.rb',
    './spec/x_spec.rb',
  ])
  const plain = build(right.replace(/^ *x-copy: .*\n/m, ''), 'chatwoot-fork')
  assert.is(plain.code, 5)
  assert.match(
    plain.stderr,
    /can't cd to \.git[^]*The whole output of the builder: .*cache\/kgc-stack\/images-build\.log/,
  )
  assert.ok(existsSync(join(box.root, 'forks/chatwoot/enterprise')), 'the checkout is as it was')
})

test.after(() => {
  const images = docker('images', '--quiet', `${registry}/*`).stdout.split('\n').filter(Boolean)
  docker('image', 'rm', '--force', ...images)
})

test.run()
