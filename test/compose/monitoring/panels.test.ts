// The dashboards' panels in the whole demo, under light load and with some trouble: each shows data
// of the last 5 minutes, within the range that it states.
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatMetrics } from '../../../scripts/lib/backup/health/metrics.ts'
import type { BackupManifest } from '../../../scripts/lib/backup/manifest.ts'
import { writeMetrics } from '../../../scripts/lib/monitoring/textfile.ts'
import { beforeAll } from '../../hooks.ts'
import { panelQueries, type PanelQuery } from '../../panel-queries.ts'
import { fullProject } from '../project.ts'
import { askPanels, type Shown } from './panels.ts'

const test = suite('panels')
const box = fullProject('panels', 28_360)

const pages = ['api', 'app', 'crm', 'support', 'hr']
/** What each application's stand-in answers with 500 when the body is `null`. */
const failing = [
  'api.kgc.localhost:28361/api/v1/webhooks/twenty',
  'crm.kgc.localhost:28361/graphql',
  'support.kgc.localhost:28361/auth/sign_in',
  'hr.kgc.localhost:28361/api/auth/login/',
]
const databases = ['kgc-db', 'twenty-db', 'chatwoot-db', 'horilla-db']
const queues = ['kgc-redis', 'twenty-redis', 'chatwoot-redis']

const inside = (service: string, ...argv: string[]): string =>
  box.engine('exec', box.container(service), ...argv)

/** Asks each address once a second until the process ends, and each application for what it fails at. */
function startLoad(): void {
  const curl = 'curl -sk --max-time 2 -o /dev/null'
  const asked = pages.map(host => `${curl} https://${host}.kgc.localhost:28361/`)
  const json = '-H "content-type: application/json" -d null'
  const failed = failing.map(url => `${curl} ${json} https://${url}`)
  const script = `while :; do ${[...asked, ...failed].join('; ')}; sleep 1; done`
  const child = spawn('sh', ['-c', script], { stdio: 'ignore' })
  child.unref()
  process.once('exit', () => child.kill())
}

/** Lines of level error, a queue that had a job, and a full Redis that refuses and throws away. */
function makeTrouble(): void {
  for (const service of databases)
    spawnSync('docker', ['exec', box.container(service), 'psql', '-U', 'postgres', '-c', 'wrong'])
  const commands = [
    'CONFIG SET maxmemory-policy allkeys-random',
    'SET thrown away',
    'CONFIG SET maxmemory 1',
    'SET refused 1',
    'CONFIG SET maxmemory 201326592',
    'CONFIG SET maxmemory-policy noeviction',
  ]
  for (const service of queues) {
    // the keys of a queue stay
    const mine =
      service === 'kgc-redis' ? commands : commands.filter(one => !/policy|away/.test(one))
    const script = 'for one; do REDISCLI_AUTH=$REDIS_PASSWORD redis-cli $one; done'
    inside(service, 'sh', '-c', script, 'sh', ...mine)
  }
  // what Sidekiq leaves when it has had a job
  inside(
    'chatwoot-redis',
    'sh',
    '-c',
    'REDISCLI_AUTH=$REDIS_PASSWORD redis-cli SADD queues default',
  )
}

/** What a backup tells of itself, as if one had been made now. */
function tellOfBackup(): Promise<void> {
  const now = Date.now()
  const newest = { files: [{ stored: { bytes: 5e9 } }], databases: [{ provenMs: 250_000 }] }
  const text = formatMetrics({
    ...{ project: box.project, encrypted: true, keyProven: now, applications: { kgc: now } },
    ...{ lastTry: { at: now, ms: 600_000 }, newest: newest as BackupManifest },
  })
  return writeMetrics(box.project, 'kgc_backup', text)
}

const shownBy = (query: Partial<PanelQuery>): Shown =>
  askPanels(box.container('prometheus'), [
    {
      dashboard: 'postgresql',
      panel: '',
      expr: '',
      legend: '',
      language: 'promql',
      unit: 'none',
      ...query,
    },
  ])[0]!

const nameOf = ({ query }: Shown): string => `${query.dashboard}: ${query.panel}`
const round = (value: number): string => String(Number(value.toPrecision(3)))

function tableOf(all: Shown[]): string {
  return all
    .map(one => {
      const { query, count, values, faults } = one
      const range = `${query.min ?? ''}…${query.max ?? ''}`
      const data = values
        ? `${count} series, ${values.map(round).join(' to ')} (${range} ${query.unit})`
        : `${count} lines`
      return `  ${nameOf(one).padEnd(50)} ${faults.join('; ') || data}`
    })
    .join('\n')
}

beforeAll(test, async () => {
  // two points of every series come three times as soon
  const demo = join(box.root, 'infra/monitoring/docker-compose.demo.yml')
  const text = readFileSync(demo, 'utf8')
  writeFileSync(demo, text.replace('PROMETHEUS_INTERVAL: 15s', 'PROMETHEUS_INTERVAL: 5s'))
  const up = box.run(['up', 'demo'], { env: { MONITORING: '1' } })
  assert.is(up.code, 0, up.stderr)
  const admin = box.run(['admin', 'demo'])
  assert.is(admin.code, 0, admin.stderr)
  await tellOfBackup()
  console.log(`  up ${up.ms} ms, administrators ${admin.ms} ms`)
  startLoad()
})

test('every panel shows data of the last 5 minutes within the range that it states', async () => {
  const started = Date.now()
  makeTrouble()
  let all = askPanels(box.container('prometheus'))
  const lacking = () => all.filter(({ faults }) => faults.length)
  const end = Date.now() + 150_000
  while (lacking().length && Date.now() < end) {
    await new Promise(done => setTimeout(done, 3000))
    all = askPanels(box.container('prometheus'))
  }
  console.log(`${tableOf(all)}\n  after ${Date.now() - started} ms`)
  assert.equal(
    lacking().map(one => `${nameOf(one)}: ${one.faults.join('; ')}`),
    [],
  )
  assert.is(all.length, panelQueries.length)
})

test('every target says what its answer is written in: Prometheus 3 reads no other', () => {
  const get =
    'for url; do wget -T 10 -S -qO /dev/null "$url" 2>&1 | grep -i content-type: || echo "$url"; done'
  const ask = (script: string, ...argv: string[]) =>
    inside('prometheus', 'sh', '-c', script, 'sh', ...argv)
  const targets = ask('wget -qO- http://127.0.0.1:9090/api/v1/targets?state=active')
  const urls = JSON.parse(targets).data.activeTargets.map((one: any) => one.scrapeUrl)
  const types = ask(get, ...urls).split('\n')
  assert.is(types.length, urls.length)
  assert.equal(
    types.filter(type => !/content-type: (text\/plain|application\/openmetrics-text)/i.test(type)),
    [],
  )
})

test('a panel that shows nothing, leaves its range or is refused is named', () => {
  const logql = { language: 'logql' } as const
  const cases: [Partial<PanelQuery>, RegExp][] = [
    [{ expr: 'pg_up{app="nobody"}' }, /no series: pg_up\{app="nobody"\}; no point/],
    // the number is not the series'
    [{ expr: 'sum(pg_up{app="nobody"}) or vector(0)' }, /^no series: pg_up/],
    [{ expr: 'pg_settings_max_connections', max: 1 }, /^\d+ to \d+ is not within -Infinity to 1$/],
    [{ expr: 'sum(' }, /400 Bad Request/],
    [{ ...logql, expr: '{application="nobody"}', unit: undefined }, /^no line$/],
    [{ ...logql, expr: '{application=~".*"}' }, /400 Bad Request/],
  ]
  for (const [query, fault] of cases)
    assert.match(shownBy(query).faults.join('; '), fault, query.expr)
})

test.run()
