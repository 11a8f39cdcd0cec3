// How long services were away, as the engine saw it.
import { setTimeout as sleep } from 'node:timers/promises'
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

/** Listens to the engine, which remembers its last 256 events only. */
export interface GapWatch {
  /** How long each service was away since then; ends the watch. */
  measure: (services: string[]) => Promise<Gap[]>
  stop: () => void
}

/** Watches from now on how long services of a stack are away. */
export function watchGaps({ project }: Stack): GapWatch {
  const filters = [
    `label=com.docker.compose.project=${project}`,
    ...['type=container', 'event=die', 'event=start', 'event=health_status'],
  ]
  const watch = new AbortController()
  const output = run(
    [
      ...['docker', 'events', '--format', '{{json .}}'],
      ...filters.flatMap(one => ['--filter', one]),
    ],
    { nothrow: true, signal: watch.signal },
  )
  const stop = () => watch.abort()
  return {
    stop,
    measure: async services => {
      // an event comes a moment after the state that it tells of
      await sleep(500)
      stop()
      const events = (await output).stdout
        .split('\n')
        .filter(line => line.endsWith('}'))
        .map(line => JSON.parse(line) as EngineEvent)
      return services.map(service => ({ service, ms: gapOf(events, service) }))
    },
  }
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
