// What MONITORING=1 makes of the stack, in every mode, read off `docker compose config`; and that no
// service is without a measure, a log label and an alert.
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import type { Failure } from '../../scripts/lib/errors.ts'
import { nameOf, rules } from '../alerts.ts'
import { dashboardFiles, queriesOf } from '../panel-queries.ts'
import { repository, sandbox } from '../sandbox.ts'
import { promtool } from '../tools.ts'

type Json = Record<string, any>

const test = suite('monitoring')
const box = sandbox()
for (const argv of [['env'], ['env', 'demo']]) {
  const { code, stderr } = box.script(argv)
  if (code !== 0) throw new Error(`env files could not be made: ${stderr}`)
}
// production asks for it
const settings = join(box.docker, '.env')
writeFileSync(
  settings,
  readFileSync(settings, 'utf8').replace(/^ACME_EMAIL=.*/m, 'ACME_EMAIL=ops@kgc.hu'),
)
const read = (...path: string[]) => readFileSync(join(repository, 'infra', ...path), 'utf8')
const { readComposeConfig, stackOf } = (await import(
  join(box.root, 'scripts/lib/compose/stack.ts')
)) as typeof import('../../scripts/lib/compose/stack.ts')
const names = ['dev', 'prod', 'demo']

/** A mode's configuration as `up` reads it, with `MONITORING` set so; unset for undefined. */
async function configOf(mode: string, monitoring: string | undefined): Promise<Json> {
  if (monitoring === undefined) delete process.env.MONITORING
  else process.env.MONITORING = monitoring
  const config = await readComposeConfig(stackOf(mode))
  delete process.env.MONITORING
  return config
}
const without: Record<string, Json> = {}
const monitored: Record<string, Json> = {}
for (const mode of names) {
  without[mode] = await configOf(mode, '0')
  monitored[mode] = await configOf(mode, '1')
}
const everyMode = (check: (all: Json, plain: Json, mode: string) => void) =>
  names.forEach(mode => check(monitored[mode]!, without[mode]!, mode))
/** The services that are the monitoring's. */
const own = (all: Json, plain: Json): [string, Json][] =>
  Object.entries<Json>(all.services).filter(([name]) => !(name in plain.services))

test('without MONITORING a stack is what infra/docker says, and production alone has it by itself', async () => {
  for (const mode of names) {
    const suffix = mode === 'demo' ? '.demo' : ''
    const files = ['docker-compose.yml', `docker-compose.${mode}.yml`]
    const argv = ['compose', '-p', without[mode]!.name, '--env-file', `.env${suffix}`]
    const plain = execFileSync(
      'docker',
      [...argv, ...files.flatMap(file => ['-f', file]), 'config', '--format', 'json'],
      { cwd: box.docker, encoding: 'utf8' },
    )
    assert.equal(without[mode], JSON.parse(plain), mode)
  }
  assert.equal((await configOf('dev', undefined)).services, without.dev!.services)
  assert.equal((await configOf('demo', undefined)).services, without.demo!.services)
  assert.equal((await configOf('prod', undefined)).services, monitored.prod!.services)
})

test('a stack without it needs none of its settings', async () => {
  const { loadEnvValues } = (await import(
    join(box.root, 'scripts/lib/env/files.ts')
  )) as typeof import('../../scripts/lib/env/files.ts')
  const file = join(box.root, 'infra/monitoring/.env')
  const before = readFileSync(file, 'utf8')
  rmSync(file)
  try {
    assert.ok(loadEnvValues(box.root).DOMAIN)
    assert.equal((await configOf('dev', '0')).services, without.dev!.services)
    const failure = await configOf('dev', '1').then(
      () => undefined,
      (error: Failure) => error,
    )
    assert.match(failure?.why ?? '', 'not there: infra/monitoring/.env')
  } finally {
    writeFileSync(file, before)
  }
})

test('the root env file chooses it for every command, and a command for itself', async () => {
  const before = readFileSync(settings, 'utf8')
  writeFileSync(settings, before.replace(/^MONITORING=.*/m, 'MONITORING=1'))
  try {
    assert.ok('prometheus' in (await configOf('dev', undefined)).services)
    assert.not.ok('prometheus' in (await configOf('dev', '0')).services)
    assert.throws(() => {
      process.env.MONITORING = 'yes'
      stackOf('dev')
    }, /neither 1 nor 0/)
  } finally {
    delete process.env.MONITORING
    writeFileSync(settings, before)
  }
})

test('it publishes nothing: people come to Grafana through Traefik, and to nothing else', () => {
  everyMode((all, plain) => {
    for (const [name, { ports = [], labels = {} }] of own(all, plain)) {
      assert.equal(ports, [], name)
      assert.is(Boolean(labels['traefik.enable']), name === 'grafana', name)
    }
  })
  const { labels, environment } = monitored.prod!.services.grafana
  assert.match(labels['traefik.http.routers.grafana.rule'], /^Host\(`grafana\.[\w.]+`\)$/)
  assert.is(environment.GF_AUTH_ANONYMOUS_ENABLED, 'false')
})

test('no application waits for it', () => {
  everyMode((all, plain) => {
    for (const name of Object.keys(plain.services))
      assert.equal(all.services[name].depends_on, plain.services[name].depends_on, name)
  })
})

test('of the stack it changes where metrics are, and the logins of the exporters; nothing else', () => {
  const may: [RegExp, string[]][] = [
    [/-db$/, ['entrypoint', 'environment', 'volumes']],
    [/-redis$/, ['command', 'environment']],
    [/./, ['labels', 'networks']],
  ]
  everyMode((all, plain, mode) => {
    for (const [name, before] of Object.entries<Json>(plain.services)) {
      const after = all.services[name]
      const [, keys] = may.find(([pattern]) => pattern.test(name))!
      const changed = Object.keys({ ...before, ...after }).filter(
        key => JSON.stringify(before[key]) !== JSON.stringify(after[key]),
      )
      assert.equal(
        changed.filter(key => !keys.includes(key)),
        [],
        `${mode}: ${name}`,
      )
    }
  })
})

test("Redis is what infra/docker makes it, with the exporter's login and no more", () => {
  everyMode((all, plain) => {
    for (const name of Object.keys(plain.services).filter(name => name.endsWith('-redis'))) {
      const lines = (config: Json): string[] =>
        config.services[name].command
          .join('\n')
          .replace(/\\\n\s*/g, '')
          .split('\n')
      const added = lines(all).filter(line => !lines(plain).includes(line))
      assert.is(added.length, 1, name)
      assert.match(
        added[0]!,
        /^user monitor on >\$\$REDIS_MONITOR_PASSWORD resetchannels %R~\* -@all /,
      )
      assert.not.match(added[0]!, /[+](@|config|acl|set|del|client)/)
      assert.equal(
        lines(all).filter(line => line !== added[0]),
        lines(plain),
      )
    }
  })
})

test('its services have limits, log rotation, a read-only root and no privileges', () => {
  everyMode((all, plain, mode) => {
    for (const [name, service] of own(all, plain)) {
      const where = `${mode}: ${name}`
      assert.ok(Number(service.mem_limit) > 0 && Number(service.cpus) > 0, where)
      assert.ok(Number(service.mem_reservation) <= Number(service.mem_limit), where)
      assert.equal(service.logging, plain.services.traefik.logging, where)
      assert.equal(service.cap_drop, ['ALL'], where)
      // the kernel's messages say who was out of memory
      assert.equal(service.cap_add ?? [], name === 'cadvisor' ? ['SYSLOG'] : [], where)
      assert.equal(service.security_opt, ['no-new-privileges:true'], where)
      assert.is(service.read_only, true, where)
      assert.not.ok(service.privileged || service.pid || service.network_mode, where)
      for (const volume of service.volumes ?? [])
        assert.ok(volume.type === 'volume' || volume.read_only, `${where}: ${volume.target}`)
      const restart =
        mode === 'prod' || /-(postgres|redis)-exporter$/.test(name) ? 'always' : 'unless-stopped'
      assert.is(service.restart, restart, where)
    }
  })
})

test('an exporter is in the network of its application alone, and applications reach Prometheus alone', () => {
  everyMode((all, plain) => {
    const applications = Object.keys(plain.networks).filter(name => name.endsWith('-internal'))
    for (const [name, { networks }] of own(all, plain)) {
      const entered = Object.keys(networks).filter(network => applications.includes(network))
      const expected = /^(\w+)-(postgres|redis)-exporter$/.exec(name)
      assert.equal(entered, expected ? [`${expected[1]}-internal`] : [], name)
    }
    for (const [name, { networks }] of Object.entries<Json>(plain.services))
      assert.not.ok('monitoring' in networks, name)
    const measured = Object.keys(all.services).filter(
      name => 'metrics' in all.services[name].networks,
    )
    assert.equal(
      measured.filter(name => !(name in plain.services)),
      ['prometheus'],
    )
    for (const network of ['monitoring', 'metrics']) assert.is(all.networks[network].internal, true)
  })
})

test("the engine's socket is read by the proxies alone, which let nothing be changed", () => {
  everyMode((all, plain) => {
    const readers = own(all, plain).filter(([, { volumes = [] }]) =>
      volumes.some(({ source = '' }: Json) => /docker\.sock/.test(source)),
    )
    assert.equal(
      readers.map(([name]) => name),
      ['monitoring-socket-proxy'],
    )
    assert.is(readers[0]![1].environment.POST, '0')
  })
})

test('the demo needs no registry, and has no Grafana; elsewhere every image is pinned with its digest', () => {
  for (const [name, { image }] of own(monitored.demo!, without.demo!)) {
    assert.match(image, /^kgc-demo\//, name)
    assert.is.not(name, 'grafana')
  }
  for (const [name, { image }] of own(monitored.prod!, without.prod!))
    assert.match(image, /:v?\d[\w.-]+@sha256:[0-9a-f]{64}$/, name)
})

/** How a service is measured, as `x-monitoring` says it. */
interface Row {
  by?: string[]
  because?: string
  alerts: string[]
}
const folders = readdirSync(join(repository, 'infra/docker'))
/** What the files of this name say, one in each application's folder. */
const readEach = (file: string) =>
  folders
    .filter(folder => existsSync(join(repository, 'infra/docker', folder, file)))
    .map(folder => parse(read('docker', folder, file)))
const catalogue: Record<string, Row> = Object.assign(
  parse(read('monitoring/docker-compose.yml'))['x-monitoring'],
  ...readEach('docker-compose.monitoring.yml').map(file => file['x-monitoring']),
)
const probes = readEach('probes.yml').flat() as { targets: string[]; labels: Json }[]
const alerts = new Set(rules.filter(({ alert }) => alert).map(nameOf))
const hostsOf = (kind: string) =>
  probes
    .filter(({ labels }) => labels.probe === kind)
    .flatMap(({ targets }) => targets)
    .map(url => /^\w+:\/\/([^/:]+)/.exec(url)![1]!)

/** What the dashboard that is about an application asks, all of it; none where there is no such dashboard. */
function askedOf(app: string): string {
  const own = [...dashboardFiles].filter(([, { templating }]) =>
    templating.list.some(({ type, query }: Json) => type === 'constant' && query === app),
  )
  return own.flatMap(([name, one]) => queriesOf(name, one).map(({ expr }) => expr)).join('\n')
}

/** What a dashboard asks where a service is measured so, or an alert speaks of it. */
const shown: [measure: RegExp, query: string][] = [
  [/^probe$/, 'probe_success{app=~"$app"'],
  [/^traefik$/, 'traefik_router_requests_total{app=~"$app"'],
  [/-postgres-exporter$/, 'pg_up{app=~"$app"'],
  [/-redis-exporter$/, 'redis_up{app=~"$app"'],
  [/^OldestJobTooOld$/, 'queue:oldest_job:age_seconds{app=~"$app"'],
]

/** What no dashboard shows of a service. */
function unshownOf(name: string, labels: Json, { by = [], alerts }: Row): string[] {
  const app = labels['hu.kgc.app'] ?? name.split('-')[0]
  const logged = name.endsWith('-exporter') ? 'monitoring' : app
  const queries = [...by, ...alerts].flatMap(word =>
    shown.filter(([measure]) => measure.test(word)).map(([, query]) => query),
  )
  const wanted = ['service:memory:ratio{app=~"$app"', ...queries]
  return [
    ...wanted.filter(query => !askedOf(app).includes(query)),
    ...(askedOf(logged).includes('{application=~"$app"') ? [] : [`the logs of ${logged}`]),
  ].map(what => `no dashboard about ${app} shows ${what.replace('{app=~"$app"', '')}`)
}

/** What is wrong with the monitoring of a service. */
function faultsOf(name: string, services: Json, row: Row | undefined): string[] {
  if (!row) return [`${name} is in no x-monitoring`]
  const fault = (words: string) => [`${name}: ${words}`]
  const labels: Json = services[name].labels ?? {}
  const measured = (by: string) => {
    if (by === 'itself') return Boolean(labels['hu.kgc.scrape.port'])
    if (by === 'probe') return hostsOf('internal').includes(name)
    if (by === 'traefik') return Boolean(labels['traefik.enable'])
    return Boolean(services[by]?.labels?.['hu.kgc.scrape.port'])
  }
  return [
    ...(Boolean(row.by?.length) === Boolean(row.because)
      ? fault('no scrape target and no reason, or both')
      : []),
    ...(row.by ?? []).filter(by => !measured(by)).flatMap(by => fault(`${by} does not measure it`)),
    ...(labels['hu.kgc.scrape.port'] && !row.by?.includes('itself')
      ? fault('its labels say a port, and x-monitoring does not')
      : []),
    ...(row.alerts.length || services[name].restart === 'no' ? [] : fault('no alert speaks of it')),
    ...row.alerts.filter(alert => !alerts.has(alert)).flatMap(alert => fault(`no alert ${alert}`)),
    ...(services[name].logging?.options?.labels?.includes('com.docker.compose.service')
      ? []
      : fault('its log does not say whose it is')),
    ...unshownOf(name, labels, row).flatMap(fault),
  ]
}

test('every service has a scrape target or a reason, a log label, alerts and a row on a dashboard, and one that has not is named', () => {
  const services: Json = { ...monitored.demo!.services, ...monitored.prod!.services }
  const faults = Object.keys(services).flatMap(name => faultsOf(name, services, catalogue[name]))
  assert.equal(faults, [])
  assert.equal(
    Object.keys(catalogue).filter(name => !(name in services)),
    [],
  )
  const planted = {
    ...services,
    'kgc-bare': { restart: 'always' },
    'kgc-new': { restart: 'always' },
  }
  assert.equal(faultsOf('kgc-new', planted, undefined), ['kgc-new is in no x-monitoring'])
  assert.equal(faultsOf('kgc-bare', planted, { by: ['itself'], alerts: ['Nothing'] }), [
    'kgc-bare: itself does not measure it',
    'kgc-bare: no alert Nothing',
    'kgc-bare: its log does not say whose it is',
  ])
  const unknown = { ...services['kgc-db'], labels: { 'hu.kgc.scrape.port': '1' } }
  assert.equal(
    faultsOf('fifth-web', { 'fifth-web': unknown }, { by: ['itself'], alerts: ['TargetDown'] }),
    [
      'fifth-web: no dashboard about fifth shows service:memory:ratio',
      'fifth-web: no dashboard about fifth shows the logs of fifth',
    ],
  )
  assert.equal(
    faultsOf(
      'horilla-new',
      { ...services, 'horilla-new': services['kgc-redis'] },
      { by: ['kgc-redis-exporter'], alerts: ['RedisDown'] },
    ),
    ['horilla-new: no dashboard about horilla shows redis_up'],
  )
})

test('a metric has the application that the logs have', () => {
  const [, list = '', application] = /resource\.service in \[([^\]]+)\] \? "([^"]+)"/.exec(
    read('monitoring/collector/config.yaml'),
  )!
  const others = [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name)
  everyMode((all, plain) => {
    for (const name of Object.keys(plain.services)) {
      const logged = others.includes(name) ? application : name.split('-')[0]
      const label = all.services[name].labels?.['hu.kgc.app']
      assert.is(label ?? name.split('-')[0], logged, name)
    }
  })
})

test('every address that Traefik serves is probed, and no other; by a module that is there', () => {
  const served = Object.values<Json>(without.prod!.services)
    .flatMap(({ labels = {} }) => Object.entries<string>(labels))
    .filter(([key]) => key.endsWith('.rule'))
    .flatMap(([, rule]) => [...rule.matchAll(/Host\(`([\w-]+)\./g)].map(([, host]) => host!))
  const public_ = probes
    .filter(({ labels }) => labels.probe === 'public')
    .flatMap(({ targets }) => targets.map(url => /^https:\/\/([\w-]+)\./.exec(url)![1]!))
  assert.equal([...new Set(served)].sort(), public_.sort())
  const { modules } = parse(read('monitoring/blackbox-exporter/config.yml'), { merge: true })
  const used = probes.flatMap(({ labels }) => labels.module ?? [])
  assert.equal(
    [...used, 'public', 'public-unsigned'].filter(name => !modules[name]),
    [],
  )
})

test('prometheus/alertmanager#676, #4502: who waits for the Watchdog hears it every minute, and none is left out for a moment', () => {
  const { route } = parse(read('monitoring/alertmanager/alertmanager.yml'))
  const [{ receiver, group_interval, repeat_interval }] = route.routes
  const seconds = (text: string) => Number(text.slice(0, -1)) * (text.endsWith('m') ? 60 : 1)
  assert.is(receiver, 'watchdog')
  assert.is(seconds(group_interval), 60)
  assert.ok(seconds(repeat_interval) < 60)
})

test('prometheus/alertmanager#1673: a silence outlives an Alertmanager that is killed a minute later', () => {
  assert.match(
    read('monitoring/alertmanager/start.sh'),
    /^exec \/bin\/alertmanager .*--storage\.path=\/alertmanager .*--data\.maintenance-interval=1m /m,
  )
  assert.ok(
    monitored.prod!.services.alertmanager.volumes.some(
      ({ type, target }: Json) => type === 'volume' && target === '/alertmanager',
    ),
  )
})

test('Prometheus takes what start.sh writes, by public names and at Traefik itself; a container of several networks is found by old and new (prometheus/prometheus#10490)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-prometheus-'))
  const source = join(folder, 'kgc')
  mkdirSync(join(source, 'probes'), { recursive: true })
  for (const { source: from, target } of monitored.demo!.services.prometheus.volumes)
    if (target.startsWith('/kgc/')) cpSync(from, target.replace('/kgc', source))
  const script = read('monitoring/prometheus/start.sh')
    .replaceAll('/tmp/', `${folder}/`)
    .replaceAll('/kgc/', `${source}/`)
    .replaceAll('/bin/prometheus --version', 'echo prometheus, version $VERSION')
    .replace(/^exec [\s\S]*/m, '')
  const run = (version: string, edge: string): void => {
    execFileSync('sh', ['-c', script], {
      env: {
        PATH: process.env.PATH,
        VERSION: version,
        ...monitored.demo!.services.prometheus.environment,
        PROBE_EDGE: edge,
      },
    })
  }
  const file = join(folder, 'prometheus.yml')
  const write = (edge: string): Json => {
    run('2.53.3+ds1', edge)
    execFileSync(promtool, ['check', 'config', '--syntax-only', file])
    assert.not.match(readFileSync(file, 'utf8'), '${')
    const written = readdirSync(join(folder, 'probes'))
    assert.is(written.length, readEach('probes.yml').length)
    for (const one of written)
      assert.not.match(readFileSync(join(folder, 'probes', one), 'utf8'), '${')
    return parse(readFileSync(file, 'utf8')).scrape_configs.find(
      ({ job_name }: Json) => job_name === 'probe',
    ).relabel_configs
  }
  const replacements = (edge: string) => write(edge).map(({ replacement }: Json) => replacement)
  assert.ok(replacements('').includes('public'))
  assert.ok(replacements('traefik:8443').includes('https://traefik:8443$1'))
  assert.ok(replacements('traefik:8443').includes('public-unsigned'))
  // Prometheus 3 gives the first network alone unless it is told; 2.53 does not know the setting
  for (const [version, expected] of [
    ['2.9.2', undefined],
    ['2.53.3+ds1', undefined],
    ['2.54.0', false],
    ['2.55.1', false],
    ['3.15.0', false],
  ] as const) {
    run(version, '')
    const [{ docker_sd_configs }] = parse(readFileSync(file, 'utf8')).scrape_configs
    assert.is(docker_sd_configs[0].match_first_network, expected, version)
  }
  rmSync(folder, { recursive: true })
})

test.run()
