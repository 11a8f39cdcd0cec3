// How long services were away, as the engine saw it.
import type { Stack } from '../stack.ts'
import { run } from '../../run.ts'

export interface Gap {
  service: string
  /** From the end of the old container to the first good health check of the new one; 0: none ended. */
  ms: number
}

interface EngineEvent {
  Action: string
  /** ns */
  timeNano: number
  Actor: { Attributes: Record<string, string> }
}

/** How long each service was away since a time (ms of the clock). */
export async function measureGaps(
  { project }: Stack,
  services: string[],
  since: number,
): Promise<Gap[]> {
  const argv = ['docker', 'events', '--since', `${since / 1000}`, '--until', `${Date.now() / 1000}`]
  const filters = [
    `label=com.docker.compose.project=${project}`,
    ...['type=container', 'event=die', 'event=start', 'event=health_status'],
  ]
  const { stdout } = await run(
    [...argv, '--format', '{{json .}}', ...filters.flatMap(one => ['--filter', one])],
    { nothrow: true, timeout: 30_000 },
  )
  const events = stdout
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as EngineEvent)
  return services.map(service => ({ service, ms: gapOf(events, service) }))
}

/** ms between the first end and the last return of a service's containers. */
export function gapOf(events: EngineEvent[], service: string): number {
  const own = events.filter(
    ({ Actor }) => Actor.Attributes['com.docker.compose.service'] === service,
  )
  const ended = own.find(({ Action }) => Action === 'die')
  const healthy = own.findLast(({ Action }) => Action === 'health_status: healthy')
  const back = healthy ?? own.findLast(({ Action }) => Action === 'start')
  return ended && back ? Math.max(0, Math.round((back.timeNano - ended.timeNano) / 1e6)) : 0
}
