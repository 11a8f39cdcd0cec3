// Who holds the ports that a stack wants to publish.
import { createServer } from 'node:net'
import type { Container } from './containers.ts'
import { run } from '../run.ts'
import type { Config } from './compose.ts'

interface Wanted {
  service: string
  host: string
  port: number
}

/** The ports that these services publish on the machine. */
function publishedPorts(all: Config, services: string[]): Wanted[] {
  return services.flatMap(service =>
    (all.services[service]?.ports ?? []).filter(port => port.published).map(port => ({ service, host: port.host_ip ?? '0.0.0.0', port: Number(port.published) })),
  )
}

/** Whether this process could listen there now. A port that root alone may take, asked for by another user, counts as free. */
function isFree(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** Who listens on a port, in words: a container, or a process; '' when it cannot be told. */
async function holder(port: number): Promise<string> {
  const container = (await run(['docker', 'ps', '--filter', `publish=${port}`, '--format', '{{.Names}}'], { nothrow: true })).stdout.trim()
  if (container) return `container ${container.split('\n').join(', ')}`
  const line = (await run(['ss', '-Hltnp', `sport = :${port}`], { nothrow: true })).stdout
  const [, name, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(line) ?? []
  return name ? `${name} (pid ${pid})` : ''
}

/** A port that another holds: `by`, in words. */
export interface Taken {
  service: string
  port: number
  by: string
}

/** The ports of these services that another holds; what the stack's own containers (`seen`) hold is theirs. */
export async function takenPorts(all: Config, services: string[], seen: Map<string, Container>): Promise<Taken[]> {
  const wanted = publishedPorts(all, services).filter(({ service }) => seen.get(service)?.State.Status !== 'running')
  const taken = wanted.map(async ({ service, host, port }) => ((await isFree(host, port)) ? [] : [{ service, port, by: await holder(port) }]))
  return (await Promise.all(taken)).flat()
}
