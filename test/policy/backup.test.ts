// Every volume of the stack is in a backup, or on a list with the reason why not.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { loadModule, parse as parseSql } from 'libpg-query'
import { parse } from 'yaml'
import { formatMetrics } from '../../scripts/lib/backup/health/metrics.ts'
import { readRecord } from '../../scripts/lib/backup/health/record.ts'
import { summarizeBackups } from '../../scripts/lib/backup/health/summary.ts'
import { readMaskRules } from '../../scripts/lib/backup/mask/rules.ts'
import { planStack, type PlannedApplication } from '../../scripts/lib/backup/plan.ts'
import { judgeBackups } from '../../scripts/lib/backup/retention/judge.ts'
import type { ComposeConfig, Stack } from '../../scripts/lib/compose/stack.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { repository, sandbox } from '../sandbox.ts'
import { promtool } from '../tools.ts'
import { hourMs, makeBackup } from '../unit/made-backups.ts'

const test = suite('backup of volumes')
const box = sandbox()
for (const argv of [['env'], ['env', 'demo']]) {
  const { code, stderr } = box.script(argv)
  if (code !== 0) throw new Error(`env files could not be made: ${stderr}`)
}
const stack = (suffix = '') => ({ suffix }) as Stack

/** The stack of a mode with its monitoring, as Compose reads it. */
function readStack(mode: string, ...more: string[]): ComposeConfig {
  const suffix = mode === 'demo' ? '.demo' : ''
  const folders = ['', ...['traefik', 'kgc', 'twenty-crm', 'chatwoot', 'horilla-hr']]
  const monitored = folders
    .slice(1)
    .map(folder => `${folder}/docker-compose.monitoring.yml`)
    .filter(file => existsSync(join(box.docker, file)))
  const files = ['docker-compose.yml', `docker-compose.${mode}.yml`]
    .concat('../monitoring/docker-compose.yml', monitored)
    .concat(`../monitoring/docker-compose.${mode}.yml`, more)
  const argv = ['compose', '--env-file', `.env${suffix}`]
    .concat('--env-file', `../monitoring/.env${suffix}`)
    .concat(
      files.flatMap(file => ['-f', file]),
      ['config', '--format', 'json'],
    )
  const env = { ...process.env, ACME_EMAIL: 'ops@kgc.hu' }
  return JSON.parse(execFileSync('docker', argv, { cwd: box.docker, encoding: 'utf8', env }))
}

const saved = (plans: PlannedApplication[]) =>
  plans.flatMap(({ databases, files, leftOut }) => [
    ...databases.map(({ volume }) => volume.replace(/^kgc_/, '')),
    ...[...files, ...leftOut].map(({ key }) => key),
  ])

const all = readStack('prod')

test('each volume of every mode, the monitoring among them, is a database, files, or left out with a reason', () => {
  for (const config of [all, readStack('dev'), readStack('demo')]) {
    const plans = planStack(stack(), config)
    assert.equal(saved(plans).sort(), Object.keys(config.volumes ?? {}).sort())
    for (const { leftOut } of plans)
      for (const { key, reason } of leftOut) assert.ok(reason.split(' ').length > 3, key)
  }
})

test('a volume that nobody has decided about is refused by name, with the file to write', () => {
  const service = { ...all.services['horilla-web']! }
  service.volumes = [{ type: 'volume', source: 'horilla-new', target: '/new' }]
  const changed = { ...all, services: { ...all.services, 'horilla-web': service } }
  try {
    planStack(stack(), changed)
    assert.unreachable()
  } catch (error) {
    assert.instance(error, Failure)
    assert.match((error as Failure).why, 'horilla-new')
    assert.match((error as Failure).next!, 'infra/docker/horilla-hr/backup.yaml')
  }
})

test('no backup.yaml speaks of a volume that is not there', () => {
  for (const folder of [
    'kgc',
    'twenty-crm',
    'chatwoot',
    'horilla-hr',
    'traefik',
    '../monitoring',
  ]) {
    const { volumes } = parse(
      readFileSync(join(repository, 'infra/docker', folder, 'backup.yaml'), 'utf8'),
    ) as { volumes: object }
    for (const key of Object.keys(volumes)) assert.ok(all.volumes?.[key], `${folder}: ${key}`)
  }
})

test('PostgreSQL reads the queries for files that rows name, each of a volume of its application', async () => {
  await loadModule()
  const named = planStack(stack(), all).filter(plan => plan.named)
  assert.equal(named.map(({ folder }) => folder).sort(), ['chatwoot', 'horilla-hr', 'twenty-crm'])
  for (const { named: rule, files } of named) {
    const { stmts } = await parseSql(rule!.query)
    assert.is(stmts?.length, 1)
    assert.is(stmts?.[0]?.stmt && Object.keys(stmts[0].stmt)[0], 'SelectStmt')
    assert.ok(files.some(({ key }) => key === rule!.volume))
  }
})

test('PostgreSQL reads what stands for people in a masked copy', async () => {
  await loadModule()
  const plans = planStack(stack(), all).filter(({ databases }) => databases.length)
  for (const { folder } of plans)
    for (const columns of Object.values(readMaskRules(folder).replace))
      for (const expression of Object.values(columns)) {
        const { stmts } = await parseSql(`SELECT ${expression.replaceAll('{key}', 'k')}`)
        assert.is(stmts?.length, 1, expression)
      }
})

test('what is told of backups are metrics as Prometheus reads them', async () => {
  const to = mkdtempSync(join(tmpdir(), 'kgc-backups-'))
  const now = Date.now()
  await makeBackup(to, 'shop', now - 50 * hourMs, { applications: ['shop', 'crm'] })
  await makeBackup(to, 'shop', now - 2 * hourMs, { applications: ['crm'] })
  const judged = await judgeBackups(to, 'shop')
  const text = formatMetrics(summarizeBackups('shop', judged, readRecord(to, 'shop'), now))
  rmSync(to, { recursive: true })
  assert.match(text, 'kgc_backup_last_success_timestamp_seconds{application="crm"}')
  execFileSync(promtool, ['check', 'metrics'], { input: text })
})

test('what is held back has no way out but the edge, and nothing that works by itself', () => {
  const held = readStack('prod', 'held.yml', '../monitoring/held.yml')
  const outside = Object.entries(held.networks ?? {}).filter(([, { internal }]) => !internal)
  const ways = Object.entries(held.services).filter(([, { networks = {} }]) =>
    outside.some(([key]) => key in networks),
  )
  assert.equal(
    ways.map(([name]) => name),
    ['traefik'],
  )
  // neither asked by people, nor a store, nor at an end
  const workers = planStack(stack(), all)
    .filter(({ databases }) => databases.length)
    .flatMap(({ services }) => services)
    .filter(name => {
      const { labels = {}, restart, image = '' } = all.services[name]!
      return !labels['traefik.enable'] && restart !== 'no' && !/postgres|pgvector|redis/.test(image)
    })
  assert.ok(workers.length > 2, workers.join())
  assert.equal(
    workers.filter(name => name in held.services),
    [],
  )
})

test.run()
