// What is wanted of the services, as Compose and the engine know it.
import { isOneShot, type ComposeConfig } from './stack.ts'
import type { ExpectedService } from './stack-status.ts'
import { dockerFolder } from '../repository.ts'
import { run } from '../run.ts'

/** What to expect of each of these services, all of whose images are here. */
export async function expectedServices(
  all: ComposeConfig,
  services: string[],
): Promise<ExpectedService[]> {
  const [hashes, images] = await Promise.all([hashesOf(all), imagesOf(all, services)])
  return services.map(service => ({
    service,
    oneShot: isOneShot(all, service),
    needs: Object.keys(all.services[service]?.depends_on ?? {}).filter(need =>
      services.includes(need),
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
