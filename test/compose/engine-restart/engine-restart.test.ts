import { execFileSync, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'
import { privateEngine } from './engine.ts'
import { waitUntil } from '../../until.ts'

const test = suite('engine restarted')
const stack = smallProject(import.meta.dirname, 'engine-restart')
const engine = privateEngine()
const env = { DOCKER_HOST: engine.host }
stack.run(['env'])

const inside = (...argv: string[]) =>
  execFileSync('docker', ['--host', engine.host, ...argv], { encoding: 'utf8' }).trim()
const quick = () => stack.run(['smoke', '--quick'], { env })
const starts = () =>
  inside(
    'exec',
    inside('ps', '-q', '--filter', 'label=com.docker.compose.service=keeper'),
    'cat',
    '/data/starts',
  ).split('\n').length

// at the top, not in a hook: uvu would hide why it failed
await engine.start()
const image = spawnSync('docker', ['save', 'kgc-demo/base:trixie'], { maxBuffer: 1024 ** 3 }).stdout
execFileSync('docker', ['--host', engine.host, 'load', '--quiet'], {
  input: image,
  stdio: ['pipe', 'ignore', 'inherit'],
})
const first = stack.run(['up'], { env })
assert.is(first.code, 0, first.stderr)
test.after(() => engine.remove())

for (const [words, signal] of [
  ['restarted', 'SIGTERM'],
  ['killed', 'SIGKILL'],
] as const)
  test(`after an engine that was ${words} the services are back by themselves, data and all`, async () => {
    const before = starts()
    await engine.stop(signal)
    const { code, stderr } = quick()
    assert.is(code, 3, 'without an engine nothing can be said')
    assert.match(stderr, /Cannot connect to the Docker daemon|failed to connect to the docker API/)
    await engine.start()
    await waitUntil('all services are healthy again', 40, () => quick().code === 0)
    assert.is(starts(), before + 1)
    assert.is(stack.run(['up'], { env }).code, 0, 'up finds nothing to mend')
  })

test('after all that, with its env files gone, down leaves nothing', () => {
  rmSync(join(stack.docker, '.env'))
  const { code, stderr } = stack.run(['down'], { env })
  assert.is(code, 0, stderr)
  const label = ['--filter', `label=com.docker.compose.project=${stack.project}`]
  assert.is(inside('ps', '-aq') + inside('network', 'ls', '-q', ...label), '')
})

test.run()
