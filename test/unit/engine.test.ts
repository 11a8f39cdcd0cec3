import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Machine } from '../../scripts/lib/engine/engine.ts'
import { installCommand, isolatedAptOptions, unpackCommands } from '../../scripts/lib/engine/apt.ts'
import { describeInstallPlan, planInstall } from '../../scripts/lib/engine/install-plan.ts'
import { removeStalePidFile, startDaemon } from '../../scripts/lib/engine/start.ts'
import { findUnsupportedParts } from '../../scripts/lib/engine/versions.ts'
import { isVersionAtLeast } from '../../scripts/lib/version.ts'
import { Failure } from '../../scripts/lib/errors.ts'

const test = suite('engine')

const systems: Record<string, Record<string, string>> = {
  debian12: { ID: 'debian', VERSION_ID: '12', VERSION_CODENAME: 'bookworm' },
  debian13: { ID: 'debian', VERSION_ID: '13', VERSION_CODENAME: 'trixie' },
  testing: { ID: 'debian', VERSION_CODENAME: 'forky' },
  debian11: { ID: 'debian', VERSION_ID: '11', VERSION_CODENAME: 'bullseye' },
  jammy: { ID: 'ubuntu', ID_LIKE: 'debian', VERSION_ID: '22.04', VERSION_CODENAME: 'jammy' },
  noble: { ID: 'ubuntu', ID_LIKE: 'debian', VERSION_ID: '24.04', VERSION_CODENAME: 'noble' },
  focal: { ID: 'ubuntu', ID_LIKE: 'debian', VERSION_ID: '20.04', VERSION_CODENAME: 'focal' },
  mint: { ID: 'linuxmint', ID_LIKE: 'ubuntu debian', VERSION_ID: '22', VERSION_CODENAME: 'wilma' },
  lmde: {
    ID: 'linuxmint',
    ID_LIKE: 'debian',
    VERSION_ID: '6',
    VERSION_CODENAME: 'faye',
    DEBIAN_CODENAME: 'bookworm',
  },
  fedora: { ID: 'fedora', VERSION_ID: '42', PRETTY_NAME: 'Fedora Linux 42' },
}
const down =
  'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?'
const bare = (system: string, change: Partial<Machine> = {}): Machine => ({
  platform: 'linux',
  root: true,
  os: systems[system]!,
  apt: true,
  client: false,
  podman: false,
  host: '',
  dockerd: false,
  vendor: false,
  iptables: false,
  mmdebstrap: false,
  init: 'systemd',
  silence: 'docker: not found',
  ...change,
})
const packaged = '/usr/libexec/docker/cli-plugins/docker-'
const plugins = {
  compose: { version: '2.26.1-4', path: `${packaged}compose` },
  buildx: { version: '0.13.1+ds1', path: `${packaged}buildx` },
}
const full = (system: string, change: Partial<Machine> = {}): Machine => {
  const { silence: _, ...machine } = bare(system, {
    client: true,
    dockerd: true,
    iptables: true,
    ...plugins,
    ...change,
  })
  return { engine: '20.10.24+dfsg1', ...machine }
}
const refusal = (machine: Machine, base = false): Failure => {
  try {
    planInstall(machine, base)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it was not refused')
}

test('versions are compared by number', () => {
  const enough = [
    ['2.26.1-4', '2.26'],
    ['v2.40.3', '2.26'],
    ['20.10.24+dfsg1', '20.10'],
    ['29.0', '20.10'],
    ['0.13.1+ds1', '0.13'],
    ['1.0', '0.13'],
  ] as const
  for (const [version, least] of enough) assert.ok(isVersionAtLeast(version, least), version)
  for (const [version, least] of [
    ['2.9.0', '2.26'],
    ['1.29.2', '2.26'],
    ['19.03.15', '20.10'],
    ['0.9', '0.13'],
    ['', '0.13'],
    ['dev', '2.26'],
  ] as const)
    assert.not.ok(isVersionAtLeast(version, least), version)
})

test('a bare machine of each system gets its own packages', () => {
  const packages = (system: string) => planInstall(bare(system)).packages.join(' ')
  assert.is(packages('debian12'), 'docker.io iptables')
  assert.equal(planInstall(bare('debian12')).plugins, ['compose', 'buildx'])
  for (const system of ['debian13', 'testing'])
    assert.is(packages(system), 'docker.io docker-cli iptables docker-compose docker-buildx')
  for (const system of ['jammy', 'noble', 'mint'])
    assert.is(packages(system), 'docker.io iptables docker-compose-v2 docker-buildx')
  for (const system of ['debian13', 'testing', 'jammy', 'noble', 'mint'])
    assert.equal(planInstall(bare(system)).plugins, [], system)
  assert.equal(planInstall(bare('lmde')).plugins, ['compose', 'buildx'])
})

test('a machine that has everything has nothing to do, whatever it is and whoever asks', () => {
  const mac = full('debian12', { platform: 'darwin', os: {}, dockerd: false, iptables: false })
  for (const machine of [
    full('debian12'),
    full('fedora', { root: false, apt: false }),
    full('focal'),
    mac,
  ])
    assert.equal(planInstall(machine), { packages: [], plugins: [], start: false })
})

test('a client without an engine gets the engine alone', () => {
  const { engine: _, ...machine } = full('debian12', { dockerd: false, silence: down })
  assert.equal(planInstall(machine), { packages: ['docker.io'], plugins: [], start: true })
  assert.equal(describeInstallPlan(planInstall(machine)), [
    'install docker.io',
    'start the Docker engine',
  ])
})

test('an engine that is stopped is started; iptables comes only when it is missing', () => {
  const { engine: _, ...machine } = full('noble', { silence: down })
  assert.equal(planInstall(machine), { packages: [], plugins: [], start: true })
  assert.equal(planInstall({ ...machine, iptables: false }).packages, ['iptables'])
})

test("Docker's own packages get Docker's own plug-ins", () => {
  const { compose: _, buildx: __, ...machine } = full('noble', { vendor: true })
  assert.equal(planInstall(machine).packages, ['docker-compose-plugin', 'docker-buildx-plugin'])
})

test('the demo takes mmdebstrap only when its base is made here and it is missing', () => {
  assert.equal(planInstall(full('debian12'), true).packages, [
    'mmdebstrap',
    'debian-archive-keyring',
  ])
  assert.equal(planInstall(full('debian12', { mmdebstrap: true }), true).packages, [])
  assert.equal(planInstall(full('debian12')).packages, [])
})

test('elsewhere it is refused, with the next step', () => {
  assert.is(refusal(bare('fedora', { apt: false })).code, 3)
  assert.match(
    refusal(bare('fedora', { apt: false })).why,
    /Docker Compose v2, Docker buildx.*not on Fedora Linux 42/,
  )
  for (const system of ['focal', 'debian11'])
    assert.match(refusal(bare(system)).next!, /^https:/, system)
  const { engine: _, ...stopped } = full('fedora', { apt: false, silence: down })
  assert.is(refusal(stopped).next, 'sudo systemctl enable --now docker')
  const mac = { platform: 'darwin', os: {}, apt: false, root: false }
  assert.match(refusal(bare('fedora', mac)).next!, /Docker Desktop/)
  const desktop =
    'Cannot connect to the Docker daemon at unix:///Users/x/.docker/run/docker.sock. Is it?'
  assert.is(
    refusal({ ...bare('fedora', mac), client: true, silence: desktop }).next,
    'open -a Docker',
  )
})

test('without root it says what it would do and touches nothing', () => {
  const { code, next, evidence } = refusal(bare('debian12', { root: false }))
  assert.is(code, 3)
  assert.match(next!, /^sudo /)
  assert.match(
    evidence!,
    /install docker\.io, iptables, install the plug-ins compose and buildx of Debian 13, start/,
  )
})

test("without root, too, the next step installs what is missing, the base's maker among it", () => {
  const user = full('debian13', { root: false })
  const { why, next } = refusal(user, true)
  assert.match(why, /missing: mmdebstrap;/)
  assert.is(next, 'sudo env "PATH=$PATH" npx zx scripts/bootstrap.ts --demo')
  assert.is(refusal(bare('debian12', { root: false })).next, 'sudo env "PATH=$PATH" make bootstrap')
})

test('an engine elsewhere, Podman, and a user who may not are told apart', () => {
  const { engine: _, ...machine } = full('debian12', { silence: down })
  assert.match(refusal({ ...machine, host: 'tcp://10.0.0.1:2375' }).why, /tcp:\/\/10\.0\.0\.1:2375/)
  assert.match(
    refusal({ ...machine, silence: down.replace('/var/run', '/run/user/1000') }).why,
    /unix:\/\/\/run\/user\/1000\/docker\.sock/,
  )
  assert.match(
    refusal({ ...machine, silence: 'failed to connect to the docker API at ssh://shop; check if' })
      .why,
    /ssh:\/\/shop,/,
  )
  assert.ok(planInstall({ ...machine, host: 'unix:///var/run/docker.sock' }).start)
  assert.match(refusal(full('debian12', { podman: true })).why, /Podman/)
  const denied =
    'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial'
  assert.match(refusal({ ...machine, root: false, silence: denied }).next!, /usermod -aG docker/)
})

test('what is older than tested is named and refused, with its remedy', () => {
  assert.match(
    refusal(full('debian12', { engine: '19.03.15' })).why,
    /^engine 19\.03\.15 is older than 20\.10/,
  )
  const old = { version: 'v2.10.0', path: '/home/x/.docker/cli-plugins/docker-compose' }
  assert.is(refusal(full('debian12', { compose: old })).next, `rm ${old.path} && make bootstrap`)
  assert.match(
    refusal(full('noble', { buildx: { version: '0.10.4', path: `${packaged}buildx` } })).next!,
    /--only-upgrade.*dpkg -S/,
  )
  assert.equal(findUnsupportedParts(full('debian12')), [])
})

test('a client that the engine does not speak with is named, and no engine is started: bootstrap and doctor send nobody in a circle', () => {
  const { engine: _, ...machine } = full('debian12', { clientVersion: '20.10.24' })
  const old =
    'Error response from daemon: client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version'
  const { code, why, next } = refusal({ ...machine, silence: old })
  assert.is(code, 3)
  assert.match(why, /^the docker client \(20\.10\.24\) is too old for the engine: .*1\.41.*1\.44/)
  assert.match(next!, /^https:.*engine\/install/)
  assert.match(
    refusal({ ...machine, vendor: true, silence: old }).next!,
    /--only-upgrade docker-ce-cli/,
  )
  const young =
    'Error response from daemon: client version 1.52 is too new. Maximum supported API version is 1.41'
  const from29 =
    'API version 1.41 is not supported by this client: the minimum supported API version is 1.44'
  for (const silence of [young, from29]) {
    assert.match(
      refusal({ ...machine, silence }).why,
      /^the docker client \(20\.10\.24\) is too new for the engine: it needs at least API 1\.(52|44), the engine supports at most 1\.41/,
    )
    assert.match(refusal({ ...machine, silence }).next!, /--only-upgrade docker\.io/)
  }
  process.env.DOCKER_API_VERSION = '1.52'
  const forced = refusal({ ...machine, silence: young })
  delete process.env.DOCKER_API_VERSION
  assert.match(forced.why, /DOCKER_API_VERSION=1\.52 makes it use that version/)
  assert.is(forced.next, 'unset DOCKER_API_VERSION')
})

test('docker/compose#11990, #12388: a release of Compose with a known fault is refused by name, its neighbours are not', () => {
  const compose = (version: string) => ({ compose: { version, path: `${packaged}compose` } })
  for (const version of ['2.29.0', 'v2.29.0', '2.29.0-desktop.1', '2.32.0']) {
    const { code, why, next } = refusal(full('noble', compose(version)))
    assert.is(code, 3)
    assert.match(why, new RegExp(`^compose ${version.replaceAll('.', '\\.')} .*docker/compose#1`))
    assert.match(next!, /--only-upgrade/)
  }
  for (const version of ['2.28.1', '2.29.1', '2.29.7', '2.32.1', '12.29.0', '2.26.1-4', '5.7.1'])
    assert.equal(findUnsupportedParts(full('noble', compose(version))), [], version)
})

test('apt asks nothing and waits for other services', () => {
  const words = installCommand(['a', 'b']).join(' ')
  assert.match(words, /^apt-get install --yes .*DPkg::Lock::Timeout=300 .* a b$/)
  assert.not.match(words, /--force-confnew|allow-unauthenticated/)
})

test("the plug-ins' apt neither reads nor changes the machine's sources and lists", () => {
  const words = isolatedAptOptions('/tmp/x').join(' ')
  for (const option of [
    'Dir::Etc::SourceList=/tmp/x/',
    'Dir::Etc::SourceParts=/dev/null',
    'Dir::State::Lists=/tmp/x/',
    'Dir::Cache=/tmp/x/',
  ])
    assert.ok(words.includes(option), option)
  assert.equal(unpackCommands(['compose'], '/target').at(-1), [
    'install',
    '-D',
    '-m',
    '755',
    '-t',
    '/target',
    'usr/libexec/docker/cli-plugins/docker-compose',
  ])
})

const folder = mkdtempSync(join(tmpdir(), 'kgc-engine-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const daemon = (name: string, script: string, timeout = 5_000) => ({
  argv: ['sh', '-c', script],
  pids: [],
  log: join(folder, `${name}.log`),
  ask: ['test', '-e', join(folder, name)],
  timeout,
})

test('an engine started by hand is waited for and outlives the wait', async () => {
  const pid = join(folder, 'pid')
  await startDaemon(
    daemon('up', `echo $$ > ${pid}; sleep 0.5; : > ${join(folder, 'up')}; exec sleep 20`),
  )
  const id = Number(readFileSync(pid, 'utf8'))
  assert.ok(process.kill(id, 0))
  process.kill(id)
})

test('one that ends is a failure with its log, long before the time is over; one that is mute times out', async () => {
  const fails = async (one: Parameters<typeof startDaemon>[0]) =>
    startDaemon(one).then(
      () => assert.unreachable() as never,
      (error: Failure) => error,
    )
  const start = Date.now()
  const dead = await fails(daemon('dead', 'echo "failed to start daemon: no disk"; exit 1', 60_000))
  assert.equal([dead.code, dead.why], [6, 'failed to start daemon: no disk'])
  assert.ok(Date.now() - start < 10_000)
  assert.is((await fails(daemon('mute', 'exec sleep 3', 1_000))).code, 7)
})

test("a killed engine's mark is removed, a living one's stays", () => {
  const mark = join(folder, 'docker.pid')
  const other = spawn('sleep', ['5'])
  writeFileSync(mark, String(other.pid))
  removeStalePidFile(mark, 'sleep')
  assert.ok(existsSync(mark))
  removeStalePidFile(mark, 'dockerd')
  assert.not.ok(existsSync(mark))
  removeStalePidFile(mark, 'dockerd')
  other.kill()
})

test.run()
