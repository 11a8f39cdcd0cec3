// Which processes use the ports that a stack wants to publish.
import { createServer } from 'node:net'
import { serviceNameOf, type Container } from './containers.ts'
import { exit, Failure } from '../errors.ts'
import { run } from '../run.ts'
import type { ComposeConfig } from './stack.ts'

interface PublishedPort {
  service: string
  host: string
  port: number
}

/** The ports that these services publish on the machine. */
function publishedPorts(all: ComposeConfig, services: string[]): PublishedPort[] {
  return services.flatMap(service =>
    (all.services[service]?.ports ?? [])
      .filter(port => port.published)
      .flatMap(({ host_ip: host, published }) =>
        // without an address the engine takes those of both families
        (host ? [host] : ['0.0.0.0', '::']).map(one => ({
          service,
          host: one,
          port: Number(published),
        })),
      ),
  )
}

/**
 * Whether a process could listen there now. Of a port that root alone may take, `ss` tells another
 * user; without it, it counts as free.
 */
async function isFree(host: string, port: number): Promise<boolean> {
  const code = await new Promise<string | undefined>(resolve => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    server.listen({ host, port, exclusive: true, ipv6Only: host === '::' }, () =>
      server.close(() => resolve(undefined)),
    )
  })
  return code === 'EACCES'
    ? !isListening((await run(['ss', '-Hltn', `sport = :${port}`], { nothrow: true })).stdout, host)
    : code !== 'EADDRINUSE'
}

/**
 * Whether one of `ss`'s lines, all of one port, stands in the way of an address: its own, or one
 * that means all.
 */
export function isListening(lines: string, host: string): boolean {
  const addresses = [...lines.matchAll(/^LISTEN\s+\d+\s+\d+\s+(\S+):\d+\s/gm)].map(([, address]) =>
    address!.replace(/%.*/, ''),
  )
  if (host === '::') return addresses.some(address => address === '*' || address.startsWith('['))
  return addresses.some(
    address => host === '0.0.0.0' || [host, '0.0.0.0', '*', '[::]'].includes(address),
  )
}

/** Who listens on a port, in words: a container, or a process; '' when it cannot be told. */
async function findPortHolder(port: number): Promise<string> {
  const container = (
    await run(['docker', 'ps', '--filter', `publish=${port}`, '--format', '{{.Names}}'], {
      nothrow: true,
    })
  ).stdout.trim()
  if (container) return `container ${container.split('\n').join(', ')}`
  const line = (await run(['ss', '-Hltnp', `sport = :${port}`], { nothrow: true })).stdout
  const [, name, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(line) ?? []
  return name ? `${name} (pid ${pid})` : ''
}

/** A port that another holds: `by`, in words. */
export interface TakenPort {
  service: string
  port: number
  by: string
}

/**
 * The ports of these services that another holds; what the service's own containers (in `seen`)
 * publish is its own.
 */
export async function findTakenPorts(
  all: ComposeConfig,
  services: string[],
  seen: Container[],
): Promise<TakenPort[]> {
  const published = (service: string) =>
    seen
      .filter(one => serviceNameOf(one) === service)
      .flatMap(one => Object.values(one.NetworkSettings?.Ports ?? {}).flatMap(list => list ?? []))
  const wanted = publishedPorts(all, services).filter(
    ({ service, port }) => !published(service).some(({ HostPort }) => Number(HostPort) === port),
  )
  const taken = wanted.map(async ({ service, host, port }) =>
    (await isFree(host, port)) ? [] : [{ service, port, by: await findPortHolder(port) }],
  )
  const found = (await Promise.all(taken)).flat()
  return found.filter(
    ({ service, port }, i) =>
      found.findIndex(one => one.service === service && one.port === port) === i,
  )
}

/** Throws Failure (refused) for ports of these services that another than `before` holds. */
export async function refuseTakenPorts(
  all: ComposeConfig,
  services: string[],
  before: Container[],
): Promise<void> {
  const taken = await findTakenPorts(all, services, before)
  if (!taken.length) return
  const words = taken.map(
    ({ service, port, by }) => `${port} (${service}) is used by ${by || 'another process'}`,
  )
  throw new Failure(exit.refused, 'Check the ports', words.join('; '), {
    next: 'stop it, or choose other ports in the env files',
  })
}
