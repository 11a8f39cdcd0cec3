// The services of a stack: which are meant, which run once, what is wanted of each.
import { join } from 'node:path'
import type { Container } from './containers.ts'
import type { ComposeConfig, Stack } from './stack.ts'
import type { ExpectedService } from './stack-status.ts'
import { maskShellValues } from '../env/shell.ts'
import { Failure, exit } from '../errors.ts'
import { dockerFolder, findApplicationFolder, listApplications, root } from '../repository.ts'
import { run } from '../run.ts'

/**
 * The services meant by names of services or of application folders, with all that they depend on;
 * all services for no name.
 * Throws Failure (usage) for a name that is neither.
 */
export async function selectServices(
  stack: Stack,
  all: ComposeConfig,
  names: string[],
): Promise<string[]> {
  if (!names.length) return Object.keys(all.services)
  const chosen = new Set<string>()
  for (const name of names)
    for (const service of await matchServices(stack, all, name)) chosen.add(service)
  for (const service of chosen)
    for (const other of Object.keys(all.services[service]?.depends_on ?? {})) chosen.add(other)
  return [...chosen]
}

async function matchServices(stack: Stack, all: ComposeConfig, name: string): Promise<string[]> {
  if (all.services[name]) return [name]
  const folder = findApplicationFolder(name)
  if (folder) return servicesOf(stack, all, folder)
  throw new Failure(
    exit.usage,
    'Choose the services',
    `${name} is neither a service nor a folder of infra/docker`,
    {
      next: `folders: ${listApplications().join(', ')}; services: ${Object.keys(all.services).join(', ')}`,
    },
  )
}

/** The services that a folder's own Compose file brings. */
export async function servicesOf(
  stack: Stack,
  all: ComposeConfig,
  folder: string,
): Promise<string[]> {
  const env = join(dockerFolder, folder, `.env${stack.suffix}`)
  const file = join(dockerFolder, folder, 'docker-compose.yml')
  const output = await run(
    ['docker', 'compose', '--env-file', env, '-f', file, 'config', '--services'],
    { what: `Read ${folder}`, env: maskShellValues(root, stack.suffix) },
  )
  return output.stdout
    .trim()
    .split('\n')
    .filter(service => all.services[service])
}

/** A service that runs once and ends: others wait for its success. */
export const isOneShot = (all: ComposeConfig, service: string): boolean =>
  Object.values(all.services).some(
    other => other.depends_on?.[service]?.condition === 'service_completed_successfully',
  )

/** Bytes that these services reserve together; what runs once and ends is over by then. */
export const reservedMemory = (all: ComposeConfig, services: string[]): number =>
  services
    .filter(name => !isOneShot(all, name))
    .reduce((sum, name) => sum + Number(all.services[name]?.mem_reservation ?? 0), 0)

/**
 * A one-shot without a container that is no fault: all that waited for it run, so it has ended well
 * and was pruned since.
 */
export function wasPruned(
  all: ComposeConfig,
  seen: Map<string, Container>,
  service: string,
): boolean {
  const waited = Object.entries(all.services).filter(
    ([, { depends_on }]) => depends_on?.[service]?.condition === 'service_completed_successfully',
  )
  return (
    !seen.has(service) &&
    waited.length > 0 &&
    waited.every(([name]) => seen.get(name)?.State.Status === 'running')
  )
}

/** What to expect of each of these services, all of whose images are here. */
export async function expectedServices(
  all: ComposeConfig,
  services: string[],
): Promise<ExpectedService[]> {
  const [hashes, images] = await Promise.all([hashesOf(all), imagesOf(all, services)])
  return services.map(service => ({
    service,
    oneShot: isOneShot(all, service),
    dependencies: Object.keys(all.services[service]?.depends_on ?? {}).filter(other =>
      services.includes(other),
    ),
    hash: hashes.get(service),
    image: images.get(all.services[service]?.image ?? ''),
  }))
}

/**
 * Compose's hash of each service's configuration, as it labels the containers. Of the resolved
 * files: with their own `env_file` 2.26.1 prints another hash than it labels. With `network_mode:
 * service:…` or `volumes_from` it always does.
 */
async function hashesOf(all: ComposeConfig): Promise<Map<string, string>> {
  const argv = ['docker', 'compose', '-p', all.name, '-f', '-', 'config', '--hash', '*']
  const { stdout } = await run(argv, {
    cwd: dockerFolder,
    input: JSON.stringify(all),
    nothrow: true,
  })
  return new Map(
    stdout
      .split('\n')
      .filter(Boolean)
      .map(line => line.split(' ') as [string, string]),
  )
}

/** The ids of the services' images by name; none when one is missing. */
async function imagesOf(all: ComposeConfig, services: string[]): Promise<Map<string, string>> {
  const names = [...new Set(services.map(service => all.services[service]?.image ?? ''))]
  const { code, stdout } = await run(
    ['docker', 'image', 'inspect', '--format', '{{.Id}}', ...names],
    { nothrow: true },
  )
  const ids = stdout.trim().split('\n')
  return new Map(code === 0 ? names.map((name, i) => [name, ids[i]!]) : [])
}
