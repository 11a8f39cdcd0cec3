// Production pins Prometheus 3, the demo has Debian's 2.53: the rules mean the same to both.
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runPromtool, testFiles } from '../../alerts.ts'
import { compiled } from '../../tools.ts'

const test = suite('rules')

test('Prometheus 3 finds what each test of a rule expects, as 2.53 does', async () => {
  const promtool = join(compiled('promtool', 'prometheus'), 'promtool')
  const { code, text } = await runPromtool(promtool, ['test', 'rules', ...testFiles])
  assert.is(code, 0, text)
})

test.run()
