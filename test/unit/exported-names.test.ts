// One name, one thing: what a reader looks for by its name is found in one place.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../sandbox.ts'

const test = suite('exported names')

/** Names that more than one of these files exports, with the files. */
function findRepeatedExports(files: Map<string, string>): string[] {
  const byName = new Map<string, string[]>()
  for (const [file, text] of files)
    for (const [, name] of text.matchAll(
      /^export (?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm,
    ))
      byName.set(name!, [...(byName.get(name!) ?? []), file])
  return [...byName]
    .filter(([, where]) => where.length > 1)
    .map(([name, where]) => `${name}: ${where.join(', ')}`)
}

test('no two modules of scripts/lib export the same name', () => {
  const folder = join(repository, 'scripts/lib')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .map(file => [file, readFileSync(join(folder, file), 'utf8')] as const)
  assert.ok(files.length > 100)
  assert.equal(findRepeatedExports(new Map(files)), [])
})

test('a name that two modules export is found, whatever it names', () => {
  const files = new Map([
    ['a.ts', 'export function plan() {}\nexport const only = 1\n'],
    ['b.ts', 'export interface plan {}\n  export const inner = 1\n'],
  ])
  assert.equal(findRepeatedExports(files), ['plan: a.ts, b.ts'])
})

test.run()
