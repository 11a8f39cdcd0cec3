// The folders of scripts/lib point one way, so that each can be read without those that use it.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../sandbox.ts'

const test = suite('imports')
const lib = join(repository, 'scripts/lib')

/** Later tiers import earlier ones; folders of the third stand beside each other. `.` is scripts/lib itself. */
const tiers = [
  ['.', 'run'],
  ['env', 'engine', 'kubernetes', 'compose'],
  ['images', 'github', 'monitoring', 'notify'],
  ['rollout', 'smoke', 'doctor'],
  ['deploy'],
  ['forks', 'backup'],
  ['commands'],
]
const tierOf = (folder: string): number => tiers.findIndex(tier => tier.includes(folder))

/** The folder of a file of scripts/lib, by its path in there. */
const folderOf = (file: string): string => (file.includes('/') ? file.split('/')[0]! : '.')

/** Imports that point the wrong way, types too. `files`: text by path in scripts/lib. */
function findWrongImports(files: Map<string, string>): string[] {
  return [...files].flatMap(([file, text]) =>
    [...text.matchAll(/\bfrom '(\.[^']+)'|\bimport\('(\.[^']+)'\)/g)]
      .map(([, path, lazy]) => relative('/', join('/', dirname(file), (path ?? lazy)!)))
      .filter(to => {
        const [from, into] = [folderOf(file), folderOf(to)]
        const beside = tierOf(from) === 3 && tierOf(into) === 3
        return from !== into && (tierOf(into) > tierOf(from) || beside)
      })
      .map(to => `${file} imports ${to}`),
  )
}

const files = new Map(
  readdirSync(lib, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => [name, readFileSync(join(lib, name), 'utf8')]),
)

test('every folder has its place, and none imports what is built on it', () => {
  assert.equal(
    [...new Set([...files.keys()].map(folderOf))].filter(folder => tierOf(folder) < 0),
    [],
  )
  assert.equal(findWrongImports(files), [])
})

test('an import that points the wrong way is found, a type and a lazy one, too', () => {
  const planted = new Map([
    ['compose/a.ts', "import type { Lock } from '../deploy/lock.ts'"],
    ['smoke/b.ts', "const { watch } = await import('../rollout/watch.ts')"],
    ['deploy/c/d.ts', "import { e } from '../../smoke/e.ts'"],
  ])
  assert.equal(findWrongImports(planted), [
    'compose/a.ts imports deploy/lock.ts',
    'smoke/b.ts imports rollout/watch.ts',
  ])
})

test('a command line of kubectl or docker is built where that tool is at home', () => {
  const homes = ['kubernetes', 'compose', 'engine', 'images', 'backup']
  const built = [...files].filter(
    ([file, text]) => !homes.includes(folderOf(file)) && /\[\s*'(kubectl|docker)',/.test(text),
  )
  assert.equal(
    built.map(([file]) => file),
    [],
  )
})

test('a unit test wants nothing that is fetched or compiled first: it begins at once on a new machine', () => {
  const unit = join(repository, 'test/unit')
  const wanting = readdirSync(unit, { recursive: true, encoding: 'utf8' }).filter(
    name =>
      name.endsWith('.ts') && /from '[./]+tools\.ts'/.test(readFileSync(join(unit, name), 'utf8')),
  )
  assert.equal(wanting, [])
})

test.run()
