// A process that is killed in the middle of a line: what it said last is in the log, and each line
// says where it comes from.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../../sandbox.ts'
import { fullProject } from '../project.ts'

const test = suite('last words')
const stack = fullProject('last-words', 18070)
const here = import.meta.dirname
const files = [
  join(stack.docker, 'docker-compose.yml'),
  join(stack.docker, 'docker-compose.demo.yml'),
  join(here, 'docker-compose.cut.yml'),
]
const services = [
  'kgc-api',
  'twenty-server',
  'twenty-worker',
  'chatwoot-web',
  'chatwoot-sidekiq',
  'chatwoot-prepare',
  'horilla-web',
  'horilla-scheduler',
]

test('the last lines of each application are in its log, with their project and service', () => {
  const flags = [
    '-p',
    stack.project,
    '--env-file',
    join(stack.docker, '.env.demo'),
    ...files.flatMap(file => ['-f', file]),
  ]
  // an entrypoint that waits for its database says more than the process that it starts
  const runs = services.map(name =>
    stack.engine(
      'compose',
      ...flags,
      'run',
      '--detach',
      '--no-deps',
      ...(name === 'chatwoot-web' ? ['--entrypoint', ''] : []),
      name,
    ),
  )
  stack.engine('wait', ...runs)
  for (const [i, id] of runs.entries()) {
    const lines = stack.engine('logs', '--details', id).split('\n')
    const [whole, cut] = lines.slice(-2)
    const from = `com.docker.compose.project=${stack.project},com.docker.compose.service=${services[i]} `
    assert.match(whole ?? '', 'the last whole line', `${services[i]}: ${lines.join('\n')}`)
    assert.is(cut, `${from}and the one that was being wri`, services[i])
  }
})

test('with the buffers of Python and Ruby they would be lost', () => {
  const main = join(repository, 'infra/demo/standin/main.mjs')
  const said = (app: string, command: string, variable: Record<string, string>) =>
    spawnSync(process.execPath, [main, ...command.split(' ')], {
      encoding: 'utf8',
      env: { STANDIN_APP: app, STANDIN_FAULT: 'cut-off', ...variable },
    }).stdout
  assert.is(said('horilla', 'python manage.py run_scheduler', {}), '')
  assert.match(
    said('horilla', 'python manage.py run_scheduler', { PYTHONUNBUFFERED: '1' }),
    /being wri$/,
  )
  assert.is(said('chatwoot', 'bundle exec rails db:chatwoot_prepare', {}), '')
  assert.match(
    said('chatwoot', 'bundle exec rails db:chatwoot_prepare', { RUBYOPT: '-r/kgc/sync.rb' }),
    /being wri$/,
  )
})

test.run()
