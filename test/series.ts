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
  /** Its own, beside those that every series has. */
  labels?: string[]
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

const ofAlerts = ['alertname', 'alertstate', 'severity', 'service']
/** Series of no exporter, with their labels: Prometheus makes the first three itself, a deploy, a test alert and a backup write the others. */
const own: Record<string, string[]> = {
  up: [],
  ALERTS: ofAlerts,
  ALERTS_FOR_STATE: ofAlerts,
  kgc_deploy_timestamp_seconds: ['release', 'result'],
  kgc_test_alert_timestamp_seconds: [],
  kgc_backup_last_success_timestamp_seconds: ['application'],
  kgc_backup_last_try_timestamp_seconds: [],
  kgc_backup_last_try_succeeded: [],
  kgc_backup_last_try_duration_seconds: [],
  kgc_backup_size_bytes: [],
  kgc_backup_proven_restore_duration_seconds: [],
  kgc_backup_key_proven_timestamp_seconds: [],
}
/** What relabelling gives every series that is scraped. */
const common = ['app', 'environment', 'job', 'instance']

/** The names of a component that both its versions serve. */
const namesIn = ({ series }: Component): string[] =>
  Object.entries(series)
    .filter(([, { only }]) => !only)
    .flatMap(([name, { histogram }]) =>
      histogram ? ['_bucket', '_sum', '_count'].map(end => name + end) : [name],
    )

/** What an expression names and no component serves in both its versions; `recorded`: names of recording rules. */
export function findUnknownSeries(expression: string, recorded: string[]): string[] {
  const known = new Set([
    ...Object.keys(own),
    ...recorded,
    ...Object.values(components).flatMap(namesIn),
  ])
  return seriesNames(expression).filter(name => !known.has(name))
}

/** The labels that a series of an exporter can have, and those of each part of a histogram. */
export function labelsOf(name: string): string[] {
  const series = Object.values(components).map(
    one => one.series[name] ?? one.series[name.replace(/_(bucket|sum|count)$/, '')],
  )
  return [
    ...common,
    ...(own[name] ?? []),
    ...series.flatMap(one => one?.labels ?? []),
    ...(name.endsWith('_bucket') ? ['le'] : []),
  ]
}
