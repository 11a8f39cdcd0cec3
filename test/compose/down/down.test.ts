// Down and purge leave nothing, from every state that people reach.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject } from '../project.ts'

const test = suite('down')
const stack = smallProject(import.meta.dirname, 'down')
stack.run(['env'])
const label = ['--filter', `label=com.docker.compose.project=${stack.project}`]
const left = () =>
  stack.engine('ps', '-aq', ...label) + stack.engine('network', 'ls', '-q', ...label)
const up = () => {
  const { code, stderr } = stack.run(['up'])
  assert.is(code, 0, stderr)
}
const down = (...argv: string[]) => {
  const { code, stderr } = stack.run(['down', ...argv])
  assert.is(code, 0, stderr)
  assert.is(left(), '')
}
const stranger = `${stack.project}-stranger`
process.once('exit', () => stack.engine('rm', '-f', stranger))
const createOurs = (kind: 'network' | 'volume', name: string) =>
  stack.engine(
    ...[kind, 'create', '--label', `com.docker.compose.project=${stack.project}`],
    `${stack.project}_${name}`,
  )
const runSleeper = (...argv: string[]) =>
  stack.engine('run', '-d', '--init', ...argv, 'kgc-demo/base:trixie', 'sleep', '1000')
/** A container that is not of the project and holds something of it. */
const runStranger = (...argv: string[]) => runSleeper('--name', stranger, ...argv)

test('docker/compose#11686: one-shots pruned: smoke and doctor find no fault, down ends all, each with its own grace, the store last', () => {
  up()
  stack.engine('rm', stack.container('job'))
  const smoke = stack.run(['smoke', '--quick'])
  assert.is(smoke.code, 0, smoke.stderr)
  assert.match(smoke.stdout, /job .*pruned/)
  assert.not.match(stack.run(['bootstrap', '--doctor']).stdout, /not started/)
  down()
  const [app, store] = stack
    .engine(
      'run',
      '--rm',
      '-v',
      `${stack.project}_data:/data`,
      'kgc-demo/base:trixie',
      'cat',
      '/data/app',
      '/data/store',
    )
    .split('\n')
    .map(Number)
  assert.ok(app! > 0 && store! > app!, 'stopped in order, neither killed')
})

test('paused, created, restarting, of `docker compose run`, with env files gone and Compose files broken', () => {
  up()
  stack.engine('pause', stack.container('store'))
  stack.engine('rm', '-f', stack.container('app'))
  const of = (service: string, oneoff: string) =>
    [`project=${stack.project}`, `service=${service}`, `oneoff=${oneoff}`].flatMap(pair => [
      '--label',
      `com.docker.compose.${pair}`,
    ])
  stack.engine('create', ...of('app', 'False'), 'kgc-demo/base:trixie', 'true')
  stack.engine(
    'run',
    '-d',
    '--restart',
    'always',
    ...of('loop', 'False'),
    'kgc-demo/base:trixie',
    'false',
  )
  runSleeper(...of('store', 'True'))
  rmSync(join(stack.docker, '.env'))
  writeFileSync(join(stack.docker, 'docker-compose.yml'), '{{ no YAML')
  down()
})

test('half-removed networks, and a stranger on one of them, which goes on', () => {
  down('--purge', '--yes')
  createOurs('network', 'inside')
  runStranger('--network', `${stack.project}_inside`)
  createOurs('volume', 'data')
  stack.engine('volume', 'create', `${stack.project}_unlabelled`)
  down('--purge', '--yes')
  assert.is(stack.engine('volume', 'ls', '-q', '--filter', `name=${stack.project}_`), '')
  assert.is(stack.engine('inspect', '--format', '{{.State.Running}}', stranger), 'true')
  down()
})

test('what holds a volume is named, and nothing of it is removed', () => {
  stack.engine('rm', '-f', stranger)
  createOurs('volume', 'data')
  runStranger('-v', `${stack.project}_data:/data`)
  const { code, stderr } = stack.run(['down', '--purge', '--yes'])
  assert.is(code, 6, stderr)
  assert.match(stderr, /volume is in use/)
  assert.is(stack.engine('inspect', '--format', '{{.State.Running}}', stranger), 'true')
  stack.engine('rm', '-f', stranger)
})

test.run()
