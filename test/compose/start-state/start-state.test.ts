import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fullCase } from '../case.ts'

const test = suite('old password')

test('a new password on an old volume fails up with the cause in words; the old one heals it', () => {
  const stack = fullCase('old-password', 18090)
  const file = join(stack.docker, 'horilla-hr/.env.demo')
  const first = stack.run(['up', 'demo', 'horilla'])
  assert.is(first.code, 0, first.stderr)
  assert.is(stack.run(['down', 'demo']).code, 0)
  const old = readFileSync(file, 'utf8')
  writeFileSync(file, old.replace(/^HORILLA_DB_PASSWORD=.*/m, `HORILLA_DB_PASSWORD=${'5'.repeat(7)}f0e1d2c3b4a59687a1b2c3d4`))
  const { code, stderr } = stack.run(['up', 'demo', 'horilla'])
  assert.is(code, 6, stderr)
  assert.match(stderr, 'password authentication failed')
  assert.match(stderr, /likely cause: the volume is older than the password/)
  assert.not.match(stderr, '5555555f0e1d2c3b4a59687a1b2c3d4')
  writeFileSync(file, old)
  const healed = stack.run(['up', 'demo', 'horilla'])
  assert.is(healed.code, 0, healed.stderr)
})

test.run()
