// What Prometheus is expected to measure, and what it does.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { ComposeConfig } from '../compose/stack.ts'
import { dockerFolder, listApplications } from '../repository.ts'
import type { Monitoring } from './ask.ts'

/** A target as Prometheus has it. */
export interface SeenTarget {
  labels: Record<string, string>
  health: string
  lastError: string
}

/** An expected target, and how it is. */
export interface Target {
  /** The service, or the address that is probed. */
  name: string
  application: string
  up: boolean
  /** Why it is not. */
  why: string
}

/** The services that say their port, by the application that they belong to. */
export const measuredServices = ({ services }: ComposeConfig): Map<string, string> =>
  new Map(
    Object.entries(services)
      .filter(([, { labels }]) => labels?.['hu.kgc.scrape.port'])
      .map(([name, { labels }]) => [name, labels?.['hu.kgc.app'] ?? name.split('-')[0] ?? name]),
  )

/** How many addresses the applications' probes.yml have. */
export const countProbes = (): number =>
  listApplications()
    .map(folder => join(dockerFolder, folder, 'probes.yml'))
    .filter(existsSync)
    .flatMap(file => parse(readFileSync(file, 'utf8')) as { targets: string[] }[])
    .flatMap(({ targets }) => targets).length

/** The targets that Prometheus asks at this moment. */
export async function readTargets({ askJson }: Monitoring): Promise<SeenTarget[]> {
  const { data } = await askJson<{ data: { activeTargets: SeenTarget[] } }>(
    'prometheus',
    '/api/v1/targets?state=active',
  )
  return data.activeTargets
}

/** Each expected target with what Prometheus says of it; pure. `probes`: how many are expected. */
export function judgeTargets(all: ComposeConfig, probes: number, seen: SeenTarget[]): Target[] {
  const judge = (name: string, application: string, found: SeenTarget | undefined): Target => ({
    name,
    application,
    up: found?.health === 'up',
    why: found ? describe(found) : 'Prometheus does not know it',
  })
  const services = [...measuredServices(all)].map(([name, application]) =>
    judge(
      name,
      application,
      seen.find(({ labels }) => labels.job === name),
    ),
  )
  const asked = seen.filter(({ labels }) => labels.job === 'probe')
  const addresses = asked.map(one => judge(one.labels.instance ?? '', one.labels.app ?? '', one))
  const lacking = Array.from({ length: Math.max(0, probes - asked.length) }, (_, i) =>
    judge(`address ${asked.length + i + 1} of a probes.yml`, 'monitoring', undefined),
  )
  return [...services, ...addresses, ...lacking]
}

const describe = ({ health, lastError }: SeenTarget): string => {
  if (health === 'up') return ''
  return health === 'unknown' ? 'not asked yet' : lastError || health
}
