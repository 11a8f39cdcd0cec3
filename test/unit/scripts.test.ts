import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CommandOutput } from '../one-process.ts'

const test = suite('scripts')
const repository = join(import.meta.dirname, '../..')
const names = readdirSync(join(repository, 'scripts')).filter(name => name.endsWith('.ts'))

/** As a person and as a workflow run a script. */
const ways: Record<string, (name: string) => string[]> = {
  'npx zx': name => ['npx', 'zx', `scripts/${name}`],
  'node zx': name => [process.execPath, 'node_modules/zx/build/cli.js', `scripts/${name}`],
  node: name => [process.execPath, '--import=tsx', `scripts/${name}`],
}

// whatever a script takes for allowed, no engine and no cluster hears of it
const away = {
  ...process.env,
  NO_COLOR: '1',
  DOCKER_HOST: 'unix:///nowhere.sock',
  KUBECONFIG: '/nowhere',
}

/**
 * What these calls say, all in one process: starting one takes longer than all that a wrong word
 * does.
 */
function together(calls: string[][]): CommandOutput[] {
  const argv = ['--import=tsx', join(repository, 'test/one-process.ts'), JSON.stringify(calls)]
  return JSON.parse(
    execFileSync(process.execPath, argv, { cwd: repository, encoding: 'utf8', env: away }),
  ) as CommandOutput[]
}

const tooMany = [
  ['down.ts', 'dev', 'chatwoot', '--purge', '--yes'],
  ['smoke.ts', 'demo', 'chatwoot'],
  ['images.ts', 'build', '--keep', '3'],
  ['images.ts', 'list', '--keep', '3'],
]
const dryLocks = ['--lock', '--unlock'].map(flag => [
  'deploy.ts',
  'staging',
  flag,
  '--reason',
  'test',
  '--dry-run',
])
const calls = [
  ...names.flatMap(name => [
    [name, '--help'],
    [name, '--version'],
    [name, '--nonsense'],
  ]),
  ...tooMany,
  ...dryLocks,
]
const all = together(calls)
const said = (call: string[]) => all[calls.findIndex(one => one.join() === call.join())]!

for (const name of names)
  test(`${name} prints its usage and exit codes, and says which word it does not know without a stack trace`, () => {
    const help = said([name, '--help'])
    assert.is(help.code, 0, help.stderr)
    assert.match(help.stdout, new RegExp(`^Usage: npx zx scripts/${name}`))
    assert.match(help.stdout, 'Exit codes:')
    const { code, stderr } = said([name, '--nonsense'])
    assert.is(code, 2, stderr)
    assert.match(stderr, /WHY\s+Unknown option '--nonsense'/)
    assert.not.match(stderr, /\n\s+at /)
  })

test('every script says which version of the toolkit it is, and of which commit', () => {
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
  const argv = ['rev-parse', '--short', 'HEAD']
  const commit = execFileSync('git', argv, { cwd: repository, encoding: 'utf8' }).trim()
  for (const name of names)
    assert.is(said([name, '--version']).stdout, `kgc-stack ${version} (${commit})\n`, name)
})

test('a word too many is refused: nobody who names an application means the whole stack', () => {
  for (const call of tooMany) {
    const { code, stderr } = said(call)
    assert.is(code, 2, `${call[0]}: ${stderr}`)
    assert.match(
      stderr,
      new RegExp(`WHY\\s+(name )?one [^]*NEXT\\s+npx zx scripts/${call[0]} --help`),
    )
  }
})

test('make says in a sentence what a machine without Node or npm lacks, and how to get it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-make-'))
  for (const name of ['Makefile', 'package.json', 'package-lock.json'])
    copyFileSync(join(repository, name), join(folder, name))
  const path = join(folder, 'bin')
  mkdirSync(path)
  const make = execFileSync('sh', ['-c', 'command -v make'], { encoding: 'utf8' }).trim()
  const says = () =>
    spawnSync(make, ['node_modules/.stamp'], { cwd: folder, encoding: 'utf8', env: { PATH: path } })
      .stderr
  assert.match(says(), /^Node is not installed: .*https:/m)
  symlinkSync(process.execPath, join(path, 'node'))
  assert.match(says(), /^npm is not installed: .*apt-get install npm.*https:/m)
  rmSync(folder, { recursive: true })
})

test('the lock is not taken by a dry run', () => {
  for (const call of dryLocks) {
    const { code, stderr } = said(call)
    assert.is(code, 2, stderr)
    assert.match(stderr, '--lock and --unlock do not take --dry-run')
  }
})

test('every way of starting a script reads the same words', () => {
  for (const [way, start] of Object.entries(ways)) {
    const [command, ...argv] = [...start('smoke.ts'), 'moon']
    const options = way === 'node zx' ? { NODE_OPTIONS: '--import=tsx' } : {}
    const { status, stderr } = spawnSync(command!, argv, {
      cwd: repository,
      encoding: 'utf8',
      env: { ...away, ...options },
    })
    assert.is(status, 2, `${way}: ${stderr}`)
    assert.match(stderr, 'docker-compose.moon.yml', way)
  }
})

test.run()
