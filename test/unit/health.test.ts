// The health check of Compose services: often until it passes, seldom from then on.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fakes } from '../fakes.ts'
import { beforeAll } from '../hooks.ts'
import { repository } from '../sandbox.ts'

const test = suite('health check')
const script = join(repository, 'infra/docker/health.sh')
const programs = fakes(['sleep'])
const well = join(tmpdir(), `well-${process.pid}`)
const forget = () => rmSync(well, { force: true })

/** Exit code of the check, and for how many seconds it waited. */
function check(
  command: string,
  own: Record<string, string> = {},
): [code: number | null, seconds: string[]] {
  programs.answer([{ call: /^sleep / }])
  const env = {
    ...process.env,
    ...programs.env,
    HEALTH_WELL: well,
    ...own,
    PATH: `${programs.bin}${delimiter}${process.env.PATH}`,
  }
  const { status } = spawnSync('sh', [script, command, '1'], { env })
  return [status, programs.calls().map(({ words }) => words[1]!)]
}

beforeAll(test, forget)
test.after(forget)

test('moby/moby#39102: a check waits once it passes again; one that fails is asked at once again', () => {
  const passes = 'test "$(echo well)" = well'
  assert.equal(
    [passes, passes, 'exit 3', passes, passes].map(one => check(one)),
    [
      [0, []],
      [0, ['50']],
      [1, []],
      [0, []],
      [0, ['50']],
    ],
  )
})

test('who asks by hand does not wait', () => {
  assert.equal(check('true', { HEALTH_ONCE: '1' }), [0, []])
  assert.equal(check('true', { HEALTH_ONCE: '1' }), [0, []])
})

test('a check that does not answer has failed after its time, and says so', () => {
  assert.equal(check('while :; do :; done'), [1, []])
  const { stdout } = spawnSync('sh', [script, 'while :; do :; done', '1'], {
    encoding: 'utf8',
    env: { ...process.env, HEALTH_WELL: well },
  })
  assert.is(stdout, 'no answer within 1 s\n')
})

test.run()
