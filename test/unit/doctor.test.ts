import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ComposeConfig } from '../../scripts/lib/compose/stack.ts'
import type { Container } from '../../scripts/lib/compose/containers.ts'
import { judgeCollations, parseChangedCollations } from '../../scripts/lib/doctor/collations.ts'
import {
  judgeContainers,
  judgeFullRedis,
  judgeIdle,
  type StackHealth,
} from '../../scripts/lib/doctor/containers.ts'
import { judgeAddresses } from '../../scripts/lib/doctor/addresses.ts'
import { judgeEnv, judgeShell } from '../../scripts/lib/doctor/env-files.ts'
import {
  findTlsEdge,
  listRoutedHosts,
  judgeCertificates,
  type ServedCertificate,
} from '../../scripts/lib/doctor/certificates.ts'
import type { Finding } from '../../scripts/lib/doctor/finding.ts'
import { judgeClock } from '../../scripts/lib/doctor/clock.ts'
import {
  judgeCpus,
  judgeEngine,
  judgePorts,
  judgeResources,
  engineDataFolders,
} from '../../scripts/lib/doctor/machine.ts'
import { judgeDisks, judgeImages, judgeVolumes, parseDf } from '../../scripts/lib/doctor/storage.ts'
import {
  judgeNetworks,
  judgeVisitors,
  type NetworkFacts,
} from '../../scripts/lib/doctor/network.ts'
import { reservedMemory } from '../../scripts/lib/compose/services.ts'
import { judgeRedis, parseRedisState } from '../../scripts/lib/redis.ts'
import type { Machine } from '../../scripts/lib/engine/engine.ts'
import { planInstall } from '../../scripts/lib/engine/install-plan.ts'
import { findUnsupportedParts } from '../../scripts/lib/engine/versions.ts'

const test = suite('doctor')
const now = Date.parse('2026-11-25T12:00:00Z')
const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
const silent = (findings: Finding[]) => assert.equal(findings, [])
/**
 * Exactly one finding, of this severity, with words that match; whatever is not information names
 * what mends it.
 */
const one = (findings: Finding[], severity: Finding['severity'], what: RegExp, next?: RegExp) => {
  assert.is(findings.length, 1, JSON.stringify(findings))
  assert.is(findings[0]!.severity, severity)
  assert.match(findings[0]!.what, what)
  if (next) assert.match(findings[0]!.next, next)
  if (severity !== 'info') assert.ok(findings[0]!.next)
}

const plugin = (version: string) => ({ version, path: '/usr/libexec/docker/cli-plugins/x' })
const machine = (change: Partial<Machine> = {}): Machine => ({
  platform: 'linux',
  root: true,
  os: { ID: 'debian', VERSION_ID: '12', VERSION_CODENAME: 'bookworm' },
  apt: true,
  client: true,
  podman: false,
  host: '',
  dockerd: true,
  vendor: false,
  iptables: true,
  mmdebstrap: false,
  init: 'none',
  engine: '20.10.24',
  compose: plugin('2.26.1'),
  buildx: plugin('0.13.1'),
  ...change,
})
const without = (key: 'engine' | 'compose' | 'buildx', change: Partial<Machine> = {}) => {
  const it = machine(change)
  delete it[key]
  return it
}
const engine = { Driver: 'overlay2', CgroupVersion: '1' }

test('engine: a good one is one line of information, with cgroup v1 as with v2', () => {
  one(
    judgeEngine(machine(), engine),
    'info',
    /20\.10\.24, Compose 2\.26\.1, buildx 0\.13\.1, cgroup v1, overlay2/,
  )
  one(judgeEngine(machine(), { ...engine, CgroupVersion: '2' }), 'info', /cgroup v2/)
})

test('engine: what is not there, silent, old or unfit is named', () => {
  one(
    judgeEngine(without('engine', { client: false }), {}),
    'error',
    /docker command/,
    /make bootstrap/,
  )
  one(
    judgeEngine(without('engine', { silence: 'Cannot connect' }), {}),
    'error',
    /does not answer: Cannot connect/,
    /make bootstrap/,
  )
  one(
    judgeEngine(without('engine', { silence: 'permission denied', root: false }), {}),
    'error',
    /permission denied/,
    /usermod/,
  )
  one(judgeEngine(without('compose'), engine), 'error', /Compose v2/)
  one(judgeEngine(without('buildx'), engine), 'error', /buildx/)
  one(
    judgeEngine(machine({ engine: '19.03.1' }), engine),
    'error',
    /engine 19\.03\.1 is older than 20\.10/,
    /only-upgrade/,
  )
  one(
    judgeEngine(machine({ compose: plugin('2.9.0') }), engine),
    'error',
    /compose 2\.9\.0 is older than 2\.26/,
  )
  one(
    judgeEngine(machine({ compose: plugin('2.29.0') }), engine),
    'error',
    /compose 2\.29\.0 empties/,
    /only-upgrade/,
  )
  const silence =
    'Error response from daemon: client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client'
  one(
    judgeEngine(without('engine', { silence, clientVersion: '20.10.24' }), {}),
    'error',
    /docker client \(20\.10\.24\) is too old/,
    /engine\/install/,
  )
  one(judgeEngine(machine({ buildx: plugin('0.10.0') }), engine), 'error', /buildx 0\.10\.0/)
  one(judgeEngine(machine({ podman: true }), engine), 'error', /Podman/)
  assert.is(judgeEngine(machine(), { ...engine, Driver: 'vfs' })[0]!.severity, 'warning')
})

test('machine: disk and memory', () => {
  const resources = (free: number, memory = 8) => ({
    disks: [{ folder: '/var/lib/docker', free: free * 1e9 }],
    memory: memory * 1e9,
  })
  silent(judgeResources(resources(20), 0))
  one(
    judgeResources(resources(19.9), 0),
    'warning',
    /19\.9 GB free on the disk of \/var\/lib\/docker/,
  )
  one(judgeResources(resources(4.9), 0), 'error', /4\.9 GB free/)
  silent(judgeResources(resources(50, 3.9), 0))
  silent(judgeResources({ disks: [], memory: 8e9 }, 7e9))
})

test('umami-software/umami#1395, twentyhq/twenty#8013: the memory that is wanted is what the chosen services reserve', () => {
  const all: ComposeConfig = {
    name: 'kgc',
    services: {
      web: {
        mem_reservation: '3000000000',
        depends_on: { job: { condition: 'service_completed_successfully' } },
      },
      job: { mem_reservation: 2e9 },
      db: { mem_reservation: '1200000000' },
      small: {},
    },
  }
  assert.is(reservedMemory(all, ['web', 'job', 'db', 'small']), 4.2e9, 'a job ends before')
  assert.is(reservedMemory(all, ['db']), 1.2e9)
  const has = (memory: number, reserved: number) => judgeResources({ disks: [], memory }, reserved)
  one(
    has(4.1e9, 4.2e9),
    'warning',
    /^4\.1 GB of memory; the services reserve 4\.2 GB/,
    /fewer applications/,
  )
  silent(has(4.1e9, 1.2e9))
})

test("machine: with containerd's store the images lie on containerd's disk, which is looked at, too", () => {
  const DriverStatus: [string, string][] = [['driver-type', 'io.containerd.snapshotter.v1']]
  const root = { DockerRootDir: '/data' }
  assert.equal(
    engineDataFolders({ ...root, DriverStatus: [['Backing Filesystem', 'extfs']] }, ''),
    ['/data'],
  )
  assert.equal(
    engineDataFolders(
      { ...root, DriverStatus, Containerd: { Address: '/run/containerd/containerd.sock' } },
      '',
    ),
    ['/data', '/var/lib/containerd'],
  )
  assert.equal(
    engineDataFolders({ ...root, DriverStatus }, 'version = 3\nroot = "/big/containerd"\n'),
    ['/data', '/big/containerd'],
  )
  assert.equal(
    engineDataFolders(
      {
        ...root,
        DriverStatus,
        Containerd: { Address: '/var/run/docker/containerd/containerd.sock' },
      },
      '',
    ),
    ['/data'],
  )
  one(
    judgeResources(
      {
        disks: [
          { folder: '/data', free: 50e9 },
          { folder: '/var/lib/containerd', free: 4e9 },
        ],
        memory: 8e9,
      },
      0,
    ),
    'error',
    /\/var\/lib\/containerd/,
  )
})

test('machine: a port that another holds, with the command that shows it', () => {
  silent(judgePorts([]))
  const taken = (by: string) => judgePorts([{ service: 'edge', port: 443, by }])
  one(
    taken('nginx (pid 77)'),
    'error',
    /port 443, which edge needs, is used by nginx/,
    /^ps -fp 77 /,
  )
  one(taken('container a, b'), 'error', /container a, b/, /^docker ps --filter publish=443 /)
  one(taken(''), 'error', /another process/, /ss -ltnp/)
})

test('machine: the clock', () => {
  const told = (offsetSeconds: number) =>
    judgeClock({ offsetSeconds, host: 'h', date: 'Wed, 25 Nov 2026 12:00:00 GMT' }, false)
  for (const seconds of [0, 30, -30]) silent(told(seconds))
  one(told(31), 'warning', /31 s ahead of h/, /date -u -s/)
  one(told(-301), 'error', /301 s behind h/)
  assert.match(judgeClock({ offsetSeconds: 400, host: 'h' }, true)[0]!.next, /timedatectl/)
  silent(judgeClock({ synchronised: true }, true))
  one(judgeClock({ synchronised: false }, true), 'warning', /not synchronised/)
  one(judgeClock({}, false), 'info', /not known/)
})

test('env files: missing before the first start is information, after it an error; every other problem is an error', () => {
  const problem = (file: string, key: string, problem: string) => ({
    file,
    key,
    problem,
    remedy: 'mend it',
  })
  const missing = [problem('a/.env', '', 'is missing'), problem('b/.env', '', 'is missing')]
  silent(judgeEnv([], true, 'make env'))
  one(
    judgeEnv(missing, false, 'make env'),
    'info',
    /2 are not there: a\/\.env, b\/\.env/,
    /make env/,
  )
  one(judgeEnv(missing, true, 'make env'), 'error', /2 are not there/, /make env/)
  one(
    judgeEnv([problem('a/.env', 'KEY', 'is missing')], false, 'make env'),
    'error',
    /^a\/\.env: KEY is missing/,
    /mend it/,
  )
  one(
    judgeEnv([problem('a/.env', '', 'is readable by other users')], false, 'make env'),
    'error',
    /^a\/\.env: is readable/,
  )
})

test('openware/peatio#1867, ckulka/baikal-docker#28: a domain that nobody signs is an error in production', () => {
  const judge = (mode: string, DOMAIN: string, more = {}) =>
    judgeAddresses(mode, { DOMAIN, ...more })
  for (const domain of ['kgc', 'crm.kgc.local', '203.0.113.5', 'kgc.home.arpa'])
    one(judge('prod', domain), 'error', /signs .*registered domain/, /DOMAIN in infra/)
  for (const domain of ['kgc.hu', 'local.kgc.hu', 'xn--gp-nka.hu']) silent(judge('prod', domain))
  silent(judge('dev', 'kgc'))
  silent(judge('prod', 'kgc.lan', { ACME_CA_SERVER: 'https://ca.kgc.lan/acme/directory' }))
})

test('runtipi/runtipi#255, JonasAlfredsson/docker-nginx-certbot#287: a port that the authority does not ask, and one that addresses do not name', () => {
  const judge = (mode: string, values: Record<string, string>) =>
    judgeAddresses(mode, { DOMAIN: 'kgc.hu', ...values })
  one(
    judge('prod', { HTTP_PORT: '8081' }),
    'info',
    /asks port 80.*HTTP_PORT is 8081/,
    /HTTP_PORT=80/,
  )
  silent(judge('dev', { HTTP_PORT: '8081' }))
  one(
    judge('dev', { HTTPS_PORT: '8443' }),
    'info',
    /name port 443, and HTTPS_PORT is 8443/,
    /URL_PORT=:8443/,
  )
  one(judge('dev', { URL_PORT: ':9443' }), 'info', /name port 9443/, /URL_PORT= in/)
  silent(judge('dev', { HTTPS_PORT: '8443', URL_PORT: ':8443' }))
})

test('canonical/docker-snap#188, TheSpaghettiDetective/obico-server#249: an engine of snap is named by doctor and bootstrap', () => {
  const found = judgeEngine(machine({ snap: true }), engine).filter(
    ({ severity }) => severity !== 'info',
  )
  const inHome = import.meta.dirname.startsWith('/home/')
  one(found, inHome ? 'warning' : 'error', /Docker is a snap/, /snap remove docker/)
  if (!inHome) assert.throws(() => planInstall(machine({ snap: true })), /Docker is a snap/)
  const old = { version: '2.20.0', path: '/snap/docker/current/cli-plugins/docker-compose' }
  assert.is(findUnsupportedParts(machine({ compose: old }))[0]?.remedy, 'snap refresh docker')
})

const facts: NetworkFacts = {
  networks: [{ name: 'p_kgc-network', subnets: ['192.168.16.0/20', 'fd00::/64'], mtu: 1500 }],
  mtu: 1500,
  outside: [{ what: 'SMTP_HOST', address: '192.168.1.5' }],
  reachedByIpv6: [],
  hasIpv6: true,
  hasNameServer: true,
}

test('moby/moby#49665: a machine without a name server has containers that resolve nothing', () => {
  one(
    judgeNetworks({ ...facts, hasNameServer: false }),
    'warning',
    /names no name server/,
    /resolv/,
  )
  silent(judgeNetworks(facts))
})

test("bitwarden/server#947: an address of the company's in a subnet of the engine's is named", () => {
  silent(judgeNetworks(facts))
  const outside = [
    { what: 'SMTP_HOST', address: '192.168.20.5' },
    { what: 'the name server', address: '127.0.0.53' },
  ]
  one(
    judgeNetworks({ ...facts, outside }),
    'error',
    /SMTP_HOST \(192\.168\.20\.5\) is in 192\.168\.16\.0\/20, the subnet of p_kgc-network/,
    /default-address-pools/,
  )
})

test('moby/moby#22297, coder/envbox#167: packets that are larger than the way out takes', () => {
  one(
    judgeNetworks({ ...facts, mtu: 1400 }),
    'warning',
    /p_kgc-network may have 1500 bytes, the way out takes 1400/,
    /driver_opts.*"1400"/,
  )
  silent(judgeNetworks({ ...facts, mtu: 0 }))
  silent(judgeNetworks({ ...facts, mtu: 9000 }))
})

test('traefik/traefik#7572, spantaleev/matrix-docker-ansible-deploy#2633: visitors who come from one address', () => {
  const judge = (change: Partial<NetworkFacts>, info = {}) =>
    judgeVisitors({ ...facts, ...change }, { name: 'p', services: {} }, info)
  silent(judge({}))
  one(
    judge({ reachedByIpv6: ['crm.kgc.hu'] }),
    'warning',
    /crm\.kgc\.hu can be reached by IPv6/,
    /AAAA/,
  )
  one(judge({}, { SecurityOptions: ['name=seccomp', 'name=rootless'] }), 'info', /rootless/)
  // Tecnativa/docker-socket-proxy#124
  one(judge({ hasIpv6: false }), 'info', /no IPv6/)
})

test('moby/moby#45610, #41872: before Docker 28 an address of this machine alone is no such thing', () => {
  const judge = (ServerVersion: string, host_ip = '127.0.0.1') =>
    judgeVisitors(
      facts,
      { name: 'p', services: { web: { ports: [{ target: 80, published: '80', host_ip }] } } },
      { ServerVersion },
    )
  one(judge('27.5.1'), 'info', /same network segment .* 27\.5\.1/)
  silent(judge('28.0.0'))
  silent(judge('20.10.24', '0.0.0.0'))
})

test('zyycn/codex-proxy-rs#91: fewer CPUs than are wanted are said', () => {
  const services = { db: { cpus: 2 }, small: { cpus: 0.5 } }
  one(
    judgeCpus({ name: 'p', services }, { NCPU: 1 }),
    'info',
    /1 CPU, 2 are wanted: .*lowers .* db$/,
  )
  silent(judgeCpus({ name: 'p', services }, { NCPU: 2 }))
  silent(judgeCpus(undefined, { NCPU: 1 }))
})

test('twentyhq/twenty#26219, sidekiq/sidekiq#5558: a Redis that is full is named with what fills it, before it is, too', () => {
  const MB = 1024 * 1024
  // as redis 7.4 and 8 say it, with CRLF
  const info = (used: number, more = '') =>
    `# Memory\r\nused_memory:${used}\r\nmaxmemory:${192 * MB}\r\nmem_not_counted_for_evict:${MB}\r\n${more}`
  const groups = `key_group:bull:messaging-queue=${150 * MB}\nkey_group:engine:N=${MB}\n`
  const judge = (text: string) => judgeRedis(parseRedisState(text))
  assert.is(judge(info(100 * MB)), undefined)
  assert.is(judge(info(200 * MB).replace(`${192 * MB}`, '0')), undefined, 'no limit')
  assert.match(
    judge(info(180 * MB, groups))!,
    /almost full \(179 MB of 192 MB\): it refuses large.*bull:messaging-queue 150 MB/,
  )
  assert.match(judge(info(193 * MB))!, /is full \(192 MB of 192 MB\) and refuses all writes/)
  assert.match(judge(info(MB, 'aof_last_write_status:err\r\n'))!, /cannot write to its disk/)
  assert.throws(() => judge('NOAUTH Authentication required.'), /Redis says: NOAUTH/)
  const full = new Map([['a-redis', judge(info(193 * MB))!]])
  one(judgeFullRedis(full), 'error', /^a-redis: it is full/, /maxmemory/)
})

test('env files: a variable of the shell that says something else is information', () => {
  silent(judgeShell([]))
  one(
    judgeShell([{ key: 'DOMAIN', file: 'a/.env' }]),
    'info',
    /DOMAIN is set in the shell to something else than in a\/\.env/,
    /unset DOMAIN/,
  )
})

const config = {
  name: 'p',
  services: {
    edge: { ports: [{ target: 8443, published: '8443' }], networks: { outer: null } },
    web: {
      depends_on: { migrate: { condition: 'service_completed_successfully' } },
      networks: { outer: null, 'web-internal': null },
    },
    migrate: { networks: { 'web-internal': null } },
  },
  networks: { outer: { name: 'p_outer' }, 'web-internal': { name: 'p_web', internal: true } },
  volumes: { data: { name: 'p_data' } },
} as unknown as ComposeConfig
const container = (state: Partial<Container['State']> = {}, restarts = 0): Container => ({
  Id: 'a',
  Name: '/x',
  Created: at(-7200),
  Image: 'i',
  RestartCount: restarts,
  Config: { Labels: {}, Image: 'x' },
  State: {
    Status: 'running',
    ExitCode: 0,
    OOMKilled: false,
    Error: '',
    StartedAt: at(-7200),
    FinishedAt: at(-7201),
    ...state,
  },
})
const good = {
  edge: container(),
  web: container({ Health: { Status: 'healthy', Log: null } }),
  migrate: container({ Status: 'exited' }),
}
const pulse = (
  change: Partial<Record<keyof typeof good, Container>> = {},
  rest: Partial<StackHealth> = {},
): StackHealth => ({
  stack: { mode: 'dev', project: 'p', suffix: '' },
  config,
  containers: new Map(Object.entries({ ...good, ...change })),
  volumes: ['p_data'],
  logs: new Map(),
  causes: new Map(),
  oomKills: new Map(),
  isHeld: false,
  now,
  ...rest,
})
const web = (state: Partial<Container['State']>, restarts = 0) =>
  judgeContainers(pulse({ web: container(state, restarts) }))

test('containers: a stack that runs well says nothing', () => silent(judgeContainers(pulse())))

test('containers: of a stack that a restore holds back the next step is to let it out', () => {
  const containers = new Map(Object.entries({ edge: good.edge, migrate: good.migrate }))
  const [found] = judgeContainers(pulse({}, { containers, isHeld: true }))
  assert.match(found!.what, /^not started( here)?, held back by a restore: web$/)
  assert.is(found!.next, 'npx zx scripts/restore.ts --go-live dev')
})

test('containers: of a stack that is not there, one line', () => {
  const idle = (mode: string, suffix: string, volumes: string[]) =>
    judgeIdle({ mode, suffix, project: 'p' }, volumes)
  one(idle('dev', '', []), 'info', /never been started/, /^make up$/)
  one(idle('prod', '', []), 'info', /never been started/, /^make up MODE=prod$/)
  one(idle('demo', '.demo', []), 'info', /never been started/, /^make demo$/)
  one(idle('dev', '', ['v', 'w']), 'info', /p is not running; its 2 volumes/)
  one(idle('prod', '', ['v']), 'error', /p is not running/, /^make up MODE=prod$/)
})

test('containers: unhealthy says why, with the last line of the last check', () => {
  const log = [
    { Start: at(-9), End: at(-8), ExitCode: 1, Output: 'old' },
    { Start: at(-2), End: at(-1), ExitCode: 1, Output: 'first\ncurl: (7) refused\n' },
  ]
  one(
    web({ Health: { Status: 'unhealthy', Log: log } }),
    'error',
    /^web: unhealthy: curl: \(7\) refused$/,
    /make up/,
  )
  one(web({ Health: { Status: 'unhealthy', Log: null } }), 'error', /printed nothing/)
  const known = pulse(
    { web: container({ Health: { Status: 'unhealthy', Log: null } }) },
    { causes: new Map([['web', 'inotify']]) },
  )
  one(judgeContainers(known), 'error', /printed nothing; likely cause: inotify$/)
  one(web({ Health: { Status: 'starting', Log: [] } }), 'info', /^web: starting, for 120 min/)
})

test('containers: ended, looping, paused, never started', () => {
  one(web({ Status: 'exited', ExitCode: 0 }), 'error', /^web: ended: exit 0/)
  one(web({ Status: 'exited', ExitCode: 137, OOMKilled: true }), 'error', /exit 137, out of memory/)
  one(
    web({ Status: 'restarting', ExitCode: 1 }, 7),
    'error',
    /^web: crash loop: exit 1, 7 restarts$/,
    /logs/,
  )
  one(web({ Status: 'paused' }), 'error', /paused/, /docker compose -p p unpause web/)
  one(
    web({ Status: 'created', Error: 'port is already allocated' }),
    'error',
    /^web: cannot be started: port is already allocated/,
  )
  const failed = pulse(
    { web: container({ Status: 'exited', ExitCode: 1 }) },
    { logs: new Map([['web', 'its log: no such table']]) },
  )
  one(judgeContainers(failed), 'error', /^web: ended: exit 1; its log: no such table$/)
})

test('containers: restarts count when they are fresh, and memory when a process died of it', () => {
  one(web({ StartedAt: at(-599) }, 1), 'warning', /restarted 1×, last 9 min 59 s ago/)
  one(web({ StartedAt: at(-600) }, 2), 'info', /restarted 2×/)
  one(web({ OOMKilled: true }), 'warning', /ran out of memory/)
  one(
    judgeContainers(pulse({}, { oomKills: new Map([['web', 1]]) })),
    'warning',
    /^web had a process killed because it ran out of memory/,
  )
  silent(judgeContainers(pulse({}, { oomKills: new Map([['web', 0]]) })))
})

test('containers: a one-shot may end with 0 or still run, and nothing else', () => {
  const migrate = (state: Partial<Container['State']>) =>
    judgeContainers(pulse({ migrate: container(state) }))
  silent(migrate({}))
  one(migrate({ Status: 'exited', ExitCode: 3 }), 'error', /^migrate: ended: exit 3/)
})

test('containers: missing services and left-over ones are one line each', () => {
  const { migrate: _, web: __, ...edge } = good
  const { migrate: ___, ...noMigrate } = good
  const of = (seen: Record<string, Container>, mode = 'dev') =>
    judgeContainers(
      pulse(
        {},
        { containers: new Map(Object.entries(seen)), stack: { mode, project: 'p', suffix: '' } },
      ),
    )
  // docker/compose#11686: `docker system prune` takes the containers of one-shots that are done
  silent(of(noMigrate))
  one(
    of({ ...noMigrate, web: container({ Status: 'exited' }) }).filter(
      ({ severity }) => severity === 'warning',
    ),
    'warning',
    /not started: migrate$/,
    /make up/,
  )
  one(of(edge), 'info', /not started here: web, migrate$/)
  one(of(edge, 'prod'), 'warning', /not started: web, migrate$/)
  one(
    of({ ...good, old: container({ Status: 'exited', ExitCode: 9 }) }),
    'info',
    /no longer in the files: old/,
  )
})

test('images: what is missing, by what can be done about it', () => {
  const dev = { mode: 'dev', project: 'p', suffix: '' }
  const demo = { mode: 'demo', project: 'p', suffix: '.demo' }
  silent(judgeImages(dev, 3, [], [], true))
  one(
    judgeImages(dev, 3, ['a:1'], [], false),
    'info',
    /1 of 3 are not on this machine: a:1; they will be pulled/,
  )
  one(judgeImages(dev, 3, ['a:1'], [], true), 'warning', /a:1/)
  one(
    judgeImages(dev, 3, ['a:1'], ['r.example'], false),
    'error',
    /no answer from r\.example/,
    /make demo/,
  )
  one(
    judgeImages(dev, 3, ['k:unset'], [], false, 'REF in k/.env.example'),
    'warning',
    /no commit is chosen for k:unset/,
    /^set REF in k/,
  )
  one(
    judgeImages(dev, 3, ['unset.invalid/k:1'], [], false),
    'warning',
    /the owner of the images is not set: unset\.invalid\/k:1/,
    /env\.ts --owner NAME/,
  )
  one(judgeImages(demo, 3, ['a:1'], [], false), 'info', /a:1/, /make demo/)
  one(judgeImages(demo, 3, ['a:1'], [], true), 'error', /a:1/, /make demo/)
})

test('volumes: missing and unused ones are information; a stack that never was has none', () => {
  silent(judgeVolumes(pulse()))
  silent(judgeVolumes(pulse({}, { containers: new Map(), volumes: [] })))
  one(judgeVolumes(pulse({}, { volumes: [] })), 'info', /not there yet: p_data/)
  one(
    judgeVolumes(pulse({}, { volumes: ['p_data', 'p_old'] })),
    'info',
    /no longer in the files: p_old/,
    /docker volume rm p_old/,
  )
})

test('volumes: a full disk is one error, however many volumes lie on it', () => {
  const df =
    'Filesystem     1024-blocks      Used Available Capacity Mounted on\n/dev/vda         263112772 257000000   1000000      96% /data\n'
  const busybox =
    'Filesystem           1024-blocks    Used Available Capacity Mounted on\n/dev/vda             263112772 180000000 75537136  95% /data\n'
  assert.equal(parseDf('web', df), [{ service: 'web', device: '/dev/vda', used: 96 }])
  silent(judgeDisks(parseDf('web', busybox)))
  silent(judgeDisks(parseDf('web', 'sh: df: not found')))
  one(
    judgeDisks([...parseDf('web', df), ...parseDf('db', df)]),
    'error',
    /\/dev\/vda under the volumes of web, db is 96 % full/,
  )
})

test('volumes: a collation version that has moved is one error for each server, with the commands in their order', () => {
  silent(judgeCollations('p', parseChangedCollations('db', '')))
  silent(judgeCollations('p', parseChangedCollations('db', 'psql: error: connection refused\n')))
  const moved = parseChangedCollations('db', 'app postgres|153.120|153.128\n')
  one(
    judgeCollations('p', moved),
    'error',
    /db: the indexes of app, postgres .* 153\.120, its image has 153\.128/,
    /-p p exec db .*for db in app postgres;.*REINDEX.*REFRESH COLLATION VERSION/,
  )
})

const certificate = (change: Partial<ServedCertificate> = {}): ServedCertificate => ({
  host: 'a.hu',
  standIn: false,
  until: now + 60 * 86_400_000,
  ...change,
})
const certificates = (list: ServedCertificate[], real = true) =>
  judgeCertificates(list, real, 'p', 'edge', now)

// cert-manager/website#1916: the authority warns nobody any more
test('certificates: days left, by what is served', () => {
  silent(certificates([certificate()]))
  silent(certificates([certificate({ until: now + 14 * 86_400_000 })]))
  one(
    certificates([certificate({ until: now + 14 * 86_400_000 - 1 })]),
    'error',
    /^a\.hu: .* has 13 days left/,
    /docker compose -p p logs .* edge/,
  )
  one(certificates([certificate({ until: now - 1 })], false), 'error', /expired/)
})

// traefik/traefik#6743, Dokploy/dokploy#259: so does an acme.json that others may read
test("certificates: Traefik's own is an error in production alone, and one line for all hosts", () => {
  const own = ['a.hu', 'b.hu'].map(host =>
    certificate({
      host,
      standIn: true,
      otherHost: 'x',
      untrusted: 'SELF_SIGNED',
      until: now + 300 * 86_400_000,
    }),
  )
  silent(certificates(own, false))
  one(certificates(own), 'error', /^a\.hu, b\.hu: Traefik's own certificate/)
})

test('certificates: of another host, of an unknown issuer, or none at all', () => {
  one(
    certificates([certificate({ otherHost: 'DNS:other.hu' })]),
    'error',
    /another host \(DNS:other\.hu\)/,
  )
  one(
    certificates([certificate({ untrusted: 'UNABLE_TO_GET_ISSUER_CERT' })]),
    'warning',
    /does not trust/,
  )
  silent(certificates([certificate({ otherHost: 'x', untrusted: 'y' })], false))
  one(
    certificates([{ host: 'a.hu', silence: 'ECONNREFUSED' }], false),
    'error',
    /no server answers over TLS: ECONNREFUSED/,
  )
})

test('certificates: where the edge listens and for which hosts, read from the files', () => {
  assert.equal(findTlsEdge(config), { service: 'edge', port: 8443 })
  const labels = {
    'traefik.http.routers.x.rule': 'Host(`b.hu`) || (Host(`a.hu`) && PathPrefix(`/api`))',
    'traefik.http.routers.x.middlewares': 'y',
  }
  const rules = { services: { x: { labels } } } as unknown as ComposeConfig
  assert.equal(listRoutedHosts(rules), ['a.hu', 'b.hu'])
})

test.run()
