import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'

const test = suite('crash loop')

test('a crash loop without a health check fails up, with its exit code and log, secrets taken out', () => {
  const stack = smallProject(import.meta.dirname, 'crash-loop')
  stack.run(['env'])
  appendFileSync(join(stack.docker, '.env'), 'LICENCE_KEY=canary-of-the-licence\n')
  const { code, stderr, ms } = stack.run(['up'])
  assert.is(code, 6, stderr)
  assert.match(stderr, /WHY\s+crasher: crash loop: exit 7/)
  assert.match(stderr, 'cannot read the licence [secret]')
  assert.match(stderr, /NEXT {2}docker compose -p kgc-test-crash-loop logs crasher/)
  assert.not.match(stderr, 'also failed')
  assert.ok(ms < 30_000, `named after ${ms} ms`)
})

test.run()
