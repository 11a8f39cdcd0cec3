// The series that rules and panels may name: infra/monitoring/series.yaml.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { seriesNames } from './promql.ts'
import { repository } from './sandbox.ts'

interface Series {
  file: string
  /** The one version that has it. */
  only?: 'production' | 'demo'
  histogram?: boolean
}

export interface Component {
  source: string
  production: { version: string; read: string }
  demo: { version: string; read: string }
  series: Record<string, Series>
}

export const components: Record<string, Component> = parse(
  readFileSync(join(repository, 'infra/monitoring/series.yaml'), 'utf8'),
)

/** Prometheus makes it itself, for each target. */
const own = ['up']

/** The names of a component that both its versions serve. */
const namesIn = ({ series }: Component): string[] =>
  Object.entries(series)
    .filter(([, { only }]) => !only)
    .flatMap(([name, { histogram }]) =>
      histogram ? ['_bucket', '_sum', '_count'].map(end => name + end) : [name],
    )

/** What an expression names and no component serves in both its versions; `recorded`: names of recording rules. */
export function findUnknownSeries(expression: string, recorded: string[]): string[] {
  const known = new Set([...own, ...recorded, ...Object.values(components).flatMap(namesIn)])
  return seriesNames(expression).filter(name => !known.has(name))
}
