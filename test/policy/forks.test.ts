// The submodules of this repository: where they come from, and that nothing needs them.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { fillVersion, listForks } from '../../scripts/lib/forks/definition.ts'
import { readImageVersions } from '../../scripts/lib/forks/status.ts'
import {
  findForeignSubmodules,
  listSubmodules,
  requireKnownSubmodules,
} from '../../scripts/lib/forks/submodules.ts'
import { git } from '../git.ts'
import { repository, sandbox } from '../sandbox.ts'

const test = suite('forks')
const forks = listForks()
const read = (file: string) => readFileSync(join(repository, file), 'utf8')

test('every submodule comes from upstream or the organisation’s fork; the epic’s address of Horilla is refused', async () => {
  assert.is(forks.length, 3)
  await requireKnownSubmodules(repository)
  const submodules = (await listSubmodules(repository)).filter(({ file }) => file === '.gitmodules')
  assert.equal(submodules.map(({ path }) => path).sort(), forks.map(({ path }) => path).sort())
  const planted = submodules.map(one => ({
    ...one,
    url: one.url.replace('horilla/horilla-hr', 'horlogg/horilla'),
  }))
  assert.match(
    findForeignSubmodules(planted, forks, 'kgc').join(),
    /^forks\/horilla comes from [^,]*$/,
  )
  const own = submodules.map(one => ({ ...one, url: one.url.replace(/com\/[^/]+/, 'com/kgc') }))
  assert.equal(findForeignSubmodules(own, forks, 'kgc'), [])
  assert.is(findForeignSubmodules(own, forks, 'others').length, 3)
  const unknown = {
    name: 'x',
    path: 'forks/x',
    url: 'https://github.com/kgc/x.git',
    file: '.gitmodules',
  }
  assert.is(findForeignSubmodules([unknown], forks, 'kgc').length, 1)
})

test('a fork’s image is pinned at one version, which stands wherever fork.yaml says', () => {
  for (const fork of forks) {
    const [version, ...others] = readImageVersions(fork)
    assert.ok(version && !others.length, `${fork.name}: ${[version, ...others].join()}`)
    for (const { file, text } of fork.mentions)
      assert.match(read(file), fillVersion(text, version), `${file}, by ${fork.file}`)
  }
})

test('Renovate leaves the submodules alone', () => {
  const config = JSON.parse(read('.github/renovate.json'))
  assert.not.ok(config.enabledManagers.includes('git-submodules'))
  assert.is(config['git-submodules'], undefined)
  assert.is(config.cloneSubmodules, undefined)
  assert.ok(config.ignorePaths.includes('forks/**'))
})

test('Renovate leaves the releases of the forks’ images to `forks.ts bump`, which moves the source along', () => {
  const { packageRules } = JSON.parse(read('.github/renovate.json'))
  const [rule] = packageRules.filter((one: { description?: string }) =>
    one.description?.includes('forks.ts bump'),
  )
  assert.is(rule.enabled, false)
  assert.equal(rule.matchUpdateTypes, ['major', 'minor', 'patch'])
  const images = forks.map(({ released }) => released.split(':')[0])
  assert.equal([...rule.matchPackageNames].sort(), images.sort())
})

test('no workflow checks a submodule out', () => {
  for (const file of readdirSync(join(repository, '.github/workflows')))
    assert.not.match(read(join('.github/workflows', file)), /submodules:|submodule update/, file)
})

const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map(name => statSync(join(folder, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0)

test('a clone of this repository fetches less than 5 MB, without a submodule', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-clone-'))
  git(folder, 'clone', '--quiet', `file://${repository}`, 'clone')
  const fetched = sizeOf(join(folder, 'clone/.git/objects'))
  assert.ok(fetched > 100_000 && fetched < 5_000_000, `${fetched} bytes`)
  assert.not.ok(existsSync(join(folder, 'clone/.git/modules')))
  rmSync(folder, { recursive: true })
})

test('one variable an application puts the fork’s build in place of the released image, and back', () => {
  const box = sandbox()
  assert.is(box.script(['env', 'dev']).code, 0)
  const { services } = parse(read('infra/docker/docker-compose.build.yml')) as {
    services: Record<string, { 'x-variable'?: string; build: { context: string } }>
  }
  const argv = ['compose', '--file', join(box.docker, 'docker-compose.yml'), 'config', '--images']
  const images = (env: Record<string, string>) =>
    execFileSync('docker', argv, { encoding: 'utf8', env: { ...process.env, ...env } })
  for (const fork of forks) {
    const [, target] = Object.entries(services).find(([, { build }]) =>
      build.context.endsWith(fork.path),
    )!
    const variable = target['x-variable']!
    const released = fillVersion(fork.released, readImageVersions(fork)[0]!)
    const build = `ghcr.io/kgc/${fork.name}-fork:fork`
    assert.match(images({ [variable]: build }), build)
    assert.not.match(images({ [variable]: build }), released)
    assert.match(images({ [variable]: '' }), released)
  }
})

test.run()
