// Sources that must not be built, or say of which version they are.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { commit, initialize } from '../git.ts'
import { repository, sandbox } from '../sandbox.ts'

const test = suite('images')

test('a fork with a known hole is refused by name and left out otherwise, with the command that mends it (GHSA-x567-v324-7mr2)', () => {
  const copy = sandbox()
  const commitAll = (folder: string) => {
    initialize(folder)
    return commit(folder)
  }
  const fork = join(copy.root, 'forks/horilla')
  mkdirSync(fork, { recursive: true })
  writeFileSync(join(fork, 'Dockerfile'), 'FROM scratch\n')
  const file = join(copy.docker, 'docker-compose.build.yml')
  // the fork itself may be at another commit by now
  const [, pinned] = /commit: ([0-9a-f]{40})/.exec(readFileSync(file, 'utf8'))!
  writeFileSync(file, readFileSync(file, 'utf8').replace(pinned!, commitAll(fork)))
  writeFileSync(join(copy.root, '.gitignore'), 'forks\nnode_modules\n')
  commitAll(copy.root)
  const named = copy.script(['images', 'build', 'horilla-fork', '--dry-run'])
  assert.is(named.code, 3, named.stderr)
  assert.match(
    named.stderr,
    /remote code execution[\s\S]*git -C forks\/horilla fetch .* tag 2\.1\.8/,
  )
  const all = copy.script(['images', 'build', '--dry-run'])
  assert.is(all.code, 0, all.stderr)
  assert.match(all.stderr, 'horilla-fork: left out')
  assert.match(all.stdout, 'horilla ')
  assert.not.match(all.stdout, 'horilla-hr-fork')
})

test('a fork is built as the version that Compose runs, and that its submodule was last seen at', () => {
  const read = (file: string) => readFileSync(join(repository, file), 'utf8')
  const { seen } = parse(read('infra/docker/twenty-crm/fork.yaml')) as {
    seen: Record<string, string>
  }
  const version = Object.keys(seen).at(-1)!.replace('twenty/v', '')
  assert.match(read('infra/docker/docker-compose.build.yml'), `args: { APP_VERSION: ${version} }`)
  assert.match(read('infra/docker/twenty-crm/docker-compose.yml'), `twentycrm/twenty:v${version}`)
})

test.run()
