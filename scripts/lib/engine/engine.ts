// What this machine has of Docker, and what of that is too old.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { parse } from 'dotenv'
import { run } from '../run.ts'

/** The lowest versions the stack was tested with. */
export const lowest = { engine: '20.10', compose: '2.26', buildx: '0.13' } as const
type Part = keyof typeof lowest

interface Plugin {
  version: string
  path: string
}

/** What was found on the machine. */
export interface Machine {
  platform: string
  root: boolean
  /** /etc/os-release */
  os: Record<string, string>
  apt: boolean
  /** The `docker` command is there. */
  client: boolean
  /** It is Podman's. */
  podman: boolean
  /** DOCKER_HOST, when the client is told to use an engine elsewhere. */
  host: string
  dockerd: boolean
  /** dockerd is of Docker's own packages (docker-ce). */
  vendor: boolean
  iptables: boolean
  mmdebstrap: boolean
  /** systemd is PID 1, or there is an init script, or neither. */
  init: 'systemd' | 'script' | 'none'
  /** The engine's version, when it answers; else why not. */
  engine?: string
  silence?: string
  compose?: Plugin
  buildx?: Plugin
}

/** `docker info`, as far as it is needed here. */
export interface Info {
  ServerVersion?: string
  Driver?: string
  CgroupVersion?: string
  DockerRootDir?: string
  MemTotal?: number
  OperatingSystem?: string
  SecurityOptions?: string[] | null
  ServerErrors?: string[]
  HttpProxy?: string
  HttpsProxy?: string
  RegistryConfig?: { Mirrors?: string[] | null; IndexConfigs?: Record<string, { Mirrors?: string[] | null }> } | null
  ClientInfo?: { Plugins?: { Name: string; Version?: string; Path?: string }[] | null }
}

/** Asks the client about itself and its engine; the plug-ins are named even when no engine answers. */
export async function info(): Promise<{ info: Info; silence: string }> {
  const output = await run(['docker', 'info', '--format', '{{json .}}'], { nothrow: true, timeout: 20_000 })
  const line = output.stdout.split('\n').find(text => text.startsWith('{'))
  const found = line ? (JSON.parse(line) as Info) : {}
  const silence = found.ServerErrors?.[0] || output.stderr.trim().split('\n').at(-1) || 'it does not answer'
  return { info: found, silence: found.ServerVersion ? '' : silence }
}

/** Looks at the machine; changes nothing. */
export async function look(): Promise<Machine> {
  const commands = ['docker', 'dockerd', 'iptables', 'mmdebstrap', 'apt-get']
  const [paths, asked, podman, release] = await Promise.all([
    // one shell for all: each costs tens of milliseconds
    run(['sh', '-c', 'for name; do command -v "$name" >/dev/null && echo "$name"; done; true', 'sh', ...commands], { what: 'Look for commands' }),
    info(),
    run(['docker', '--version'], { nothrow: true }),
    readFile('/etc/os-release', 'utf8').catch(() => ''),
  ])
  const has = (name: string) => paths.stdout.split('\n').includes(name)
  const plugin = (name: string) => {
    const one = asked.info.ClientInfo?.Plugins?.find(({ Name }) => Name === name)
    return one?.Version ? { [name]: { version: one.Version, path: one.Path ?? '' } } : {}
  }
  return {
    platform: process.platform,
    root: process.getuid?.() === 0,
    os: parse(release),
    apt: has('apt-get'),
    client: has('docker'),
    podman: /podman/i.test(podman.stdout),
    host: process.env.DOCKER_HOST ?? '',
    dockerd: has('dockerd'),
    vendor: existsSync('/var/lib/dpkg/info/docker-ce.list'),
    iptables: has('iptables'),
    mmdebstrap: has('mmdebstrap'),
    init: existsSync('/run/systemd/system') ? 'systemd' : existsSync('/etc/init.d/docker') ? 'script' : 'none',
    ...(asked.silence ? { silence: asked.silence } : { engine: asked.info.ServerVersion! }),
    ...plugin('compose'),
    ...plugin('buildx'),
  }
}

/** Whether a version is at least another: 2.9 is older than 2.26. What cannot be read is taken for old. */
export function atLeast(version: string, least: string): boolean {
  const numbers = (text: string) => (/\d+(\.\d+)*/.exec(text)?.[0] ?? '0').split('.').map(Number)
  const [have, want] = [numbers(version), numbers(least)]
  const i = want.findIndex((number, i) => (have[i] ?? 0) !== number)
  return i < 0 || (have[i] ?? 0) > want[i]!
}

export interface Old {
  part: Part
  version: string
  least: string
  remedy: string
}

/** What is there and older than tested. */
export function tooOld(machine: Pick<Machine, Part | 'vendor'>): Old[] {
  const { engine, compose, buildx } = machine
  const upgrade = (name: string) => `apt-get update && apt-get install --only-upgrade ${name}`
  const plugin = (path: string) => (path.startsWith('/usr/lib') ? upgrade(`"$(dpkg -S ${path} | cut -d: -f1)"`) : `rm ${path} && make bootstrap`)
  const all: (Omit<Old, 'least'> | undefined)[] = [
    engine ? { part: 'engine', version: engine, remedy: upgrade(machine.vendor ? 'docker-ce docker-ce-cli' : 'docker.io') } : undefined,
    compose ? { part: 'compose', version: compose.version, remedy: plugin(compose.path) } : undefined,
    buildx ? { part: 'buildx', version: buildx.version, remedy: plugin(buildx.path) } : undefined,
  ]
  return all.flatMap(one => (one && !atLeast(one.version, lowest[one.part]) ? [{ ...one, least: lowest[one.part] }] : []))
}
