// What this machine has of Docker.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { parse } from 'dotenv'
import { run } from '../run.ts'
import { lastLineOf } from '../text.ts'

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
  /** What the command says of itself. */
  clientVersion?: string
  /** The engine is a snap, which sees the files below /home alone. */
  snap?: true
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
export interface EngineInfo {
  ServerVersion?: string
  Driver?: string
  CgroupVersion?: string
  DockerRootDir?: string
  DriverStatus?: [string, string][] | null
  /** From Engine 28 on. */
  Containerd?: { Address?: string } | null
  MemTotal?: number
  NCPU?: number
  OperatingSystem?: string
  SecurityOptions?: string[] | null
  ServerErrors?: string[]
  HttpProxy?: string
  HttpsProxy?: string
  RegistryConfig?: {
    Mirrors?: string[] | null
    IndexConfigs?: Record<string, { Mirrors?: string[] | null }>
  } | null
  ClientInfo?: { Plugins?: { Name: string; Version?: string; Path?: string }[] | null }
}

/**
 * Asks the client about itself and its engine; the plug-ins are named even when no engine answers.
 */
export async function readEngineInfo(): Promise<{ info: EngineInfo; silence: string }> {
  const output = await run(['docker', 'info', '--format', '{{json .}}'], {
    nothrow: true,
    timeout: 20_000,
  })
  const line = output.stdout.split('\n').find(text => text.startsWith('{'))
  const found = line ? (JSON.parse(line) as EngineInfo) : {}
  const silence = found.ServerErrors?.[0] || lastLineOf(output.stderr) || 'it does not answer'
  return { info: found, silence: found.ServerVersion ? '' : silence }
}

function detectInit(): Machine['init'] {
  if (existsSync('/run/systemd/system')) return 'systemd'
  return existsSync('/etc/init.d/docker') ? 'script' : 'none'
}

/** Looks at the machine; changes nothing. */
export async function inspectMachine(): Promise<Machine> {
  const commands = ['docker', 'dockerd', 'iptables', 'mmdebstrap', 'apt-get']
  const [paths, asked, itself, release] = await Promise.all([
    // one shell for all: each costs tens of milliseconds
    run(
      [
        'sh',
        '-c',
        'for name; do command -v "$name" >/dev/null && echo "$name"; done; true',
        'sh',
        ...commands,
      ],
      { what: 'Look for commands' },
    ),
    readEngineInfo(),
    run(['docker', '--version'], { nothrow: true }),
    readFile('/etc/os-release', 'utf8').catch(() => ''),
  ])
  const has = (name: string) => paths.stdout.split('\n').includes(name)
  const plugin = (name: string) => {
    const one = asked.info.ClientInfo?.Plugins?.find(({ Name }) => Name === name)
    return one?.Version ? { [name]: { version: one.Version, path: one.Path ?? '' } } : {}
  }
  const version = /version ([^\s,]+)/.exec(itself.stdout)?.[1]
  return {
    platform: process.platform,
    root: process.getuid?.() === 0,
    os: parse(release),
    apt: has('apt-get'),
    client: has('docker'),
    ...(version ? { clientVersion: version } : {}),
    ...(asked.info.DockerRootDir?.startsWith('/var/snap/') ? { snap: true as const } : {}),
    podman: /podman/i.test(itself.stdout),
    host: process.env.DOCKER_HOST ?? '',
    dockerd: has('dockerd'),
    vendor: existsSync('/var/lib/dpkg/info/docker-ce.list'),
    iptables: has('iptables'),
    mmdebstrap: has('mmdebstrap'),
    init: detectInit(),
    ...(asked.silence ? { silence: asked.silence } : { engine: asked.info.ServerVersion! }),
    ...plugin('compose'),
    ...plugin('buildx'),
  }
}
