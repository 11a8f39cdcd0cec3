// The file that a person attaches to a report.
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'dotenv'
import type { Container } from '../../scripts/lib/compose/containers.ts'
import {
  describeContainers,
  describeSettings,
  formatBundle,
  readLastLines,
} from '../../scripts/lib/doctor/bundle.ts'
import { keepSecret } from '../../scripts/lib/redact.ts'
import { fakes } from '../fakes.ts'
import { sandbox } from '../sandbox.ts'

const test = suite('bundle')
const box = sandbox()
assert.is(box.script(['env']).code, 0)
const file = join(box.docker, '.env')
writeFileSync(
  file,
  readFileSync(file, 'utf8')
    .replace(/^DOMAIN=.*/m, 'DOMAIN=acme.hu')
    .replace(/^SMTP_USERNAME=.*/m, 'SMTP_USERNAME=eva.nagy') + 'ODD_ONE=secret-of-mine\n',
)
writeFileSync(join(box.docker, 'chatwoot/extra.env'), 'GOOGLE_SECRET=canary-of-google\n', {
  mode: 0o600,
})
const values = ['', 'kgc', 'twenty-crm', 'chatwoot', 'horilla-hr'].flatMap(folder =>
  Object.entries(parse(readFileSync(join(box.docker, folder, '.env'), 'utf8'))),
)

const web: Container = {
  Id: 'c1',
  Name: '/kgc-web-1',
  Created: '2026-11-29T10:00:00Z',
  Image: 'sha256:1',
  RestartCount: 4,
  Config: { Labels: { 'com.docker.compose.service': 'kgc-web' }, Image: 'ghcr.io/acme/web:1' },
  State: {
    Status: 'running',
    ExitCode: 0,
    OOMKilled: true,
    Error: '',
    StartedAt: '2026-11-29T10:00:00.123Z',
    FinishedAt: '',
    Health: { Status: 'unhealthy', Log: [] },
  },
}

test('settings: which keys are set, empty, odd or missing, and never a value', () => {
  const text = describeSettings(box.root, 'dev')
  assert.match(text, /^infra\/docker\/\.env:\n {2}set: .*\bDOMAIN\b/)
  assert.match(text, /in no example: ODD_ONE/)
  assert.match(text, /^infra\/docker\/chatwoot\/extra\.env: GOOGLE_SECRET$/m)
  for (const [key, value] of [...values, ['', 'canary-of-google'], ['', 'acme.hu']] as const)
    if (value.length > 5 && !text.includes(`${value}:`)) assert.not.match(text, value, key)
})

test('containers and the end of their logs, in order, without what is secret', async () => {
  assert.match(
    describeContainers([web]),
    /kgc-web +ghcr\.io\/acme\/web:1 +running, unhealthy, out of memory +0 +4 +2026-11-29T10:00:00/,
  )
  keepSecret('canaryBundle')
  const parts = await readLastLines([web], async (id, options) => ({
    stdout: '2026-11-29T10:00:02Z \u001b[31mred\u001b[0m\n',
    stderr: `2026-11-29T10:00:01Z ${id} ${options.join(' ')} canaryBundle\n`,
    code: 0,
    ms: 1,
  }))
  assert.is(
    formatBundle(parts),
    '## Log of kgc-web\n\n2026-11-29T10:00:01Z c1 --timestamps --tail 60 [secret]\n2026-11-29T10:00:02Z red\n',
  )
})

test('one file, for the person alone, whatever the engine does, and nothing of the env files in it', async () => {
  const engine = fakes(['docker'])
  const password = values.find(([key]) => key === 'KGC_DB_PASSWORD')![1]
  engine.answer([
    { call: /^docker info/, stdout: JSON.stringify({ ServerVersion: '29.0.0', NCPU: 2 }) },
    { call: /^docker ps/, stdout: 'c1\n' },
    { call: /^docker inspect/, stdout: JSON.stringify([web]) },
    {
      call: /^docker logs/,
      stdout: `2026-11-29T10:00:01Z postgres://a:${password}@kgc-db eva.nagy ${homedir()}/work\n`,
    },
    { call: /^docker/, code: 1 },
  ])
  const { code, stderr } = await box.inProcess(['bootstrap', '--doctor', '--bundle'], {
    ...engine.env,
    PATH: `${engine.bin}:${process.env.PATH}`,
    INIT_CWD: box.root,
  })
  assert.is(code, 3, stderr)
  const [name, ...more] = readdirSync(box.root).filter(one => one.startsWith('kgc-report-'))
  assert.equal(more, [])
  assert.match(stderr, `${name}   (read it before you give it away)`)
  const path = join(box.root, name!)
  assert.is(statSync(path).mode & 0o777, 0o600)
  const text = readFileSync(path, 'utf8')
  for (const title of ['Versions', 'What the doctor says', 'Containers', 'Log of kgc-web'])
    assert.match(text, `## ${title}\n`)
  assert.match(text, 'docker: 29.0.0')
  // Osmantic/ODS#1846: nor who somebody is
  assert.match(text, 'postgres://a:[secret]@kgc-db [secret] ')
  const secrets = values.filter(([key, value]) => /PASS|SECRET|KEY/.test(key) && value.length > 5)
  assert.ok(secrets.length > 10)
  for (const [key, value] of secrets) assert.not.match(text, value, key)
})

test('it goes with the doctor of this machine alone', async () => {
  for (const argv of [['--bundle'], ['--doctor', '--cluster', '--bundle']])
    assert.is((await box.inProcess(['bootstrap', ...argv])).code, 2)
})

test.run()
