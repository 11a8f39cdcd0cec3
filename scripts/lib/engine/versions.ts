// Which versions of Docker's parts the stack runs on.
import { Failure, exit } from '../errors.ts'
import { run } from '../run.ts'
import { isVersionAtLeast, parseVersion } from '../version.ts'
import { inspectMachine, type Machine } from './engine.ts'

/** The lowest versions the stack was tested with. */
export const minimumVersions = { engine: '20.10', compose: '2.26', buildx: '0.13' } as const
type Part = keyof typeof minimumVersions

/** Releases of Compose with a fault that breaks this stack, by their exact version. */
const brokenVersions: Record<string, string> = {
  '2.29.0':
    'empties $$NAME in included files, so that databases have no password (docker/compose#11990)',
  '2.32.0':
    're-creates every container that mounts a file at each start, also Traefik (docker/compose#12388)',
}

/** Why a version is none that the stack runs on; undefined when it is one. */
export function versionProblem(part: Part, version: string): string | undefined {
  if (!isVersionAtLeast(version, minimumVersions[part]))
    return `is older than ${minimumVersions[part]}, the lowest that was tested`
  return part === 'compose' ? brokenVersions[parseVersion(version)?.join('.') ?? ''] : undefined
}

/** In words what does not fit, and what fixes it. */
export interface UnsupportedPart {
  why: string
  remedy: string
}

const upgrade = (name: string) => `apt-get update && apt-get install --only-upgrade ${name}`

/** What is there and does not fit: the client to the engine, a part to the stack. */
export function findUnsupportedParts(
  machine: Pick<Machine, Part | 'vendor' | 'silence' | 'clientVersion'>,
): UnsupportedPart[] {
  const { engine, compose, buildx, vendor } = machine
  const packages = vendor ? 'docker-ce docker-ce-cli' : 'docker.io'
  const plugin = (path: string) => {
    if (path.startsWith('/snap/')) return 'snap refresh docker'
    return path.startsWith('/usr/lib')
      ? upgrade(`"$(dpkg -S ${path} | cut -d: -f1)"`)
      : `rm ${path} && make bootstrap`
  }
  const parts: [Part, string | undefined, string][] = [
    ['engine', engine, upgrade(packages)],
    ['compose', compose?.version, plugin(compose?.path ?? '')],
    ['buildx', buildx?.version, plugin(buildx?.path ?? '')],
  ]
  const faults = parts.flatMap(([part, version, remedy]) => {
    const words = version && versionProblem(part, version)
    return words ? [{ why: `${part} ${version} ${words}`, remedy }] : []
  })
  const client = findApiMismatch(machine)
  return [...(client ? [client] : []), ...faults]
}

/**
 * How the engine says that it does not speak with this client, and how a client from 29 on says
 * that of the engine.
 */
const words = [
  /client version (?<asked>[\d.]+) is too (?<age>old|new)\. (?:Min|Max)imum supported API version is (?<limit>[\d.]+)/,
  /API version (?<limit>[\d.]+) is not supported by this client: the minimum supported API version is (?<asked>[\d.]+)/,
]

/**
 * A client that speaks no version of the API that the engine does. Starting an engine, or
 * installing one, helps nobody then.
 */
export function findApiMismatch({
  silence = '',
  clientVersion,
  vendor,
}: Pick<Machine, 'vendor' | 'silence' | 'clientVersion'>): UnsupportedPart | undefined {
  const said = words.map(one => one.exec(silence)?.groups).find(Boolean)
  if (!said) return undefined
  const { asked, limit, age = 'new' } = said
  const why =
    `the docker client${clientVersion ? ` (${clientVersion})` : ''} is too ${age} for the engine: ` +
    `it ${age === 'old' ? 'supports at most' : 'needs at least'} API ${asked}, the engine ${age === 'old' ? 'needs at least' : 'supports at most'} ${limit}`
  const forced = process.env.DOCKER_API_VERSION
  if (forced)
    return {
      why: `${why}; DOCKER_API_VERSION=${forced} makes it use that version`,
      remedy: 'unset DOCKER_API_VERSION',
    }
  const newer = vendor
    ? upgrade('docker-ce-cli')
    : 'https://docs.docker.com/engine/install/   (a client as new as the engine)'
  return { why, remedy: age === 'old' ? newer : upgrade(vendor ? 'docker-ce' : 'docker.io') }
}

/** Throws Failure (refused) when Compose is a release that the stack does not run on. */
export async function requireCompose(): Promise<void> {
  const { stdout, code } = await run(['docker', 'compose', 'version', '--short'], {
    nothrow: true,
    timeout: 20_000,
  })
  const version = stdout.trim()
  const why = code === 0 && version ? versionProblem('compose', version) : undefined
  if (!why) return
  const remedy = findUnsupportedParts(await inspectMachine()).find(one =>
    one.why.startsWith('compose '),
  )?.remedy
  throw new Failure(exit.refused, 'Check Docker Compose', `${version} ${why}`, {
    next: remedy ?? 'make bootstrap',
  })
}
