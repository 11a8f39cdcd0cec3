import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readTypeScript } from '../node.ts'
import { repository } from '../sandbox.ts'

const test = suite('hooks')

test('what fails before the tests is said', async () => {
  const script = `
    import { suite } from 'uvu'
    import { beforeAll } from './test/hooks.ts'
    const test = suite('planted')
    beforeAll(test, () => { throw new Error('no engine answers') })
    test('never reached', () => {})
    test.run()`
  const argv = [...readTypeScript, '--input-type=module', '--eval', script]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, argv, { cwd: repository })
  assert.match(stdout, /Passed: +0/)
  assert.match(stderr, 'Error: no engine answers')
})

test('no test uses the hook that is silent', () => {
  const folder = join(repository, 'test')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    file => /\.ts$/.test(file) && !/(^|\/)hooks(\.test)?\.ts$/.test(file),
  )
  assert.equal(
    files.filter(file => /\b\w+\.before\(/.test(readFileSync(join(folder, file), 'utf8'))),
    [],
  )
})

test.run()
