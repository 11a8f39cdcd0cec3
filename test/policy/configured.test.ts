// A rehearsal: a company does all that the set-up in docs/github.md says, commits it, and its CI
// runs.
import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { configureRepository } from '../configured.ts'
import { readTypeScript } from '../node.ts'
import { repository } from '../sandbox.ts'

const test = suite('configured')

/** These read the scripts or the rules alone, or empty their copy of the repository before they begin. */
const elsewhere = [
  'unit/github',
  'unit/notify',
  'unit/scripts',
  'unit/job-summary',
  'unit/up',
  'policy/alerts',
  'policy/configured',
].map(name => `${name}.test.ts`)
const reads =
  /\b(repository|sandbox|loadEnvironment|listCommitImages|readPinFiles|loadAppModules)\b/

/**
 * The test files that read what a company changes: a second run of all would take twice as long,
 * and say no more.
 */
const files = ['unit', 'policy']
  .flatMap(group => readdirSync(join(repository, 'test', group)).map(name => `${group}/${name}`))
  .filter(
    name =>
      name.endsWith('.test.ts') &&
      !elsewhere.includes(name) &&
      reads.test(readFileSync(join(repository, 'test', name), 'utf8')),
  )

/** What a test file says when it fails; '' when it passes. */
const failureOf = (root: string, name: string): Promise<string> =>
  new Promise(done =>
    execFile(
      process.execPath,
      [...readTypeScript, join('test', name)],
      { cwd: root, env: { ...process.env, NO_COLOR: '1' } },
      (error, stdout, stderr) => done(error ? `${name}\n${stdout}${stderr}` : ''),
    ),
  )

test('a repository that is set up as docs/github.md tells passes its tests', async () => {
  const root = await configureRepository()
  assert.ok(files.length > 5)
  const left = [...files]
  const failures: string[] = []
  const lane = async () => {
    for (let next = left.shift(); next; next = left.shift())
      failures.push(await failureOf(root, next))
  }
  await Promise.all([lane(), lane()])
  assert.is(failures.filter(Boolean).join('\n'), '')
})

test.run()
