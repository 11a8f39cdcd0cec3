// Who holds the ports that a stack wants to publish.
import { createServer } from 'node:net'
import { run } from '../run.ts'
import type { Config } from './compose.ts'

export interface Wanted {
  service: string
  host: string
  port: number
}

/** The ports that these services publish on the machine. */
export function publishedPorts(all: Config, services: string[]): Wanted[] {
  return services.flatMap(service =>
    (all.services[service]?.ports ?? []).filter(port => port.published).map(port => ({ service, host: port.host_ip ?? '0.0.0.0', port: Number(port.published) })),
  )
}

/** Whether this process could listen there now. A port that root alone may take, asked for by another user, counts as free. */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** Who listens on a port, in words: a container, or a process; '' when it cannot be told. */
export async function holder(port: number): Promise<string> {
  const container = (await run(['docker', 'ps', '--filter', `publish=${port}`, '--format', '{{.Names}}'], { nothrow: true })).stdout.trim()
  if (container) return `container ${container.split('\n').join(', ')}`
  const line = (await run(['ss', '-Hltnp', `sport = :${port}`], { nothrow: true })).stdout
  const [, name, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(line) ?? []
  return name ? `${name} (pid ${pid})` : ''
}
