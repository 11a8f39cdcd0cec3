// Writes infra/monitoring/grafana/dashboards/*.json, in the classic form that Grafana provisions,
// from dashboards.yaml beside that folder, which says what its keys mean.
// Usage: node --import=tsx test/dashboards.ts [--write]   Without --write it names what is not up to date.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { layOutPanels, loki, prometheus, type Panel, type Units } from './panels.ts'
import { repository } from './sandbox.ts'

type Json = Record<string, any>

interface Dashboard {
  title: string
  description: string
  app?: string
  choose?: string
  rows: string[]
}

interface Source {
  units: Units
  rows: Record<string, { title: string; panels: Panel[] }>
  application: { description: string; rows: Record<string, string> }
  dashboards: Record<string, Dashboard>
}

const infra = join(repository, 'infra')
const folder = join(infra, 'monitoring/grafana/dashboards')
const source: Source = parse(readFileSync(`${folder}.yaml`, 'utf8'))

const sourceVariable = (type: string) => ({
  name: `${type}_datasource`,
  label: `${type === 'loki' ? 'Loki' : 'Prometheus'} data source`,
  type: 'datasource',
  query: type,
})
const queryVariable = (name: string, query: string, more: Json = {}) => ({
  name,
  type: 'query',
  datasource: prometheus,
  query,
  definition: query,
  // also when the time changes: what ran then may have had others
  refresh: 2,
  sort: 1,
  ...more,
})
const several = {
  multi: true,
  includeAll: true,
  allValue: '.+',
  current: { text: ['All'], value: ['$__all'] },
}
const levels = 'fatal,error,warn,info,debug'

/** The variables that these panels name, and the mark of deploys. */
function variablesOf({ app, choose }: Dashboard, panels: Json[]): Json[] {
  const text = JSON.stringify([panels, deploys])
  const streams = '{application=~"$app", environment="$environment"}'
  const all: Json[] = [
    sourceVariable('prometheus'),
    sourceVariable('loki'),
    queryVariable('environment', 'label_values(up, environment)'),
    app
      ? { name: 'app', type: 'constant', query: app, hide: 2, current: { text: app, value: app } }
      : queryVariable('app', `label_values(${choose}{environment="$environment"}, app)`, several),
    queryVariable('service', `label_values(${streams}, service)`, { datasource: loki, ...several }),
    { name: 'level', type: 'custom', query: levels, ...several, allValue: '.*' },
    { name: 'search', type: 'textbox', query: '', current: { text: '', value: '' } },
  ]
  return all.filter(({ name }) => new RegExp(`\\$\\{?${name}\\b`).test(text))
}

/** A line in every panel where a deploy or a rollback came to its end. Grafana wants milliseconds. */
const deploys = {
  name: 'Deployments',
  datasource: prometheus,
  enable: true,
  iconColor: 'blue',
  expr: 'max by (release, result) (kgc_deploy_timestamp_seconds{environment="$environment"}) * 1000',
  useValueForTime: true,
  step: '60s',
  titleFormat: '{{result}}',
  textFormat: '{{release}}',
  tagKeys: 'result',
}

function dashboardOf(name: string, dashboard: Dashboard): Json {
  const panels = layOutPanels(
    dashboard.rows.map(row => source.rows[row]!),
    source.units,
  )
  const { title, app = '' } = dashboard
  return {
    uid: `kgc-${app || name}`,
    title,
    description: dashboard.description.replaceAll('$app', app),
    tags: ['kgc'],
    editable: false,
    schemaVersion: 41,
    timezone: 'Europe/Budapest',
    time: { from: 'now-6h', to: 'now' },
    refresh: '1m',
    graphTooltip: 1,
    links: [
      { type: 'dashboards', title: 'Dashboards', tags: ['kgc'], asDropdown: true, keepTime: true },
    ],
    annotations: { list: [deploys] },
    templating: { list: variablesOf(dashboard, panels) },
    panels,
  }
}

/** The dashboards of applications: those that are monitored and have none that is about them. */
function applications(): [string, Dashboard][] {
  const taken = Object.values(source.dashboards).map(({ app }) => app)
  return readdirSync(join(infra, 'docker'))
    .map(name => join(infra, 'docker', name, 'docker-compose.monitoring.yml'))
    .filter(existsSync)
    .flatMap(file => {
      const measured: Json = parse(readFileSync(file, 'utf8'))['x-monitoring']
      const app = Object.keys(measured)[0]!.split('-')[0]!
      const words = Object.values(measured).flatMap(({ by = [], alerts }) => [...by, ...alerts])
      const { description, rows } = source.application
      const shown = Object.keys(rows).filter(row => words.some(word => word.endsWith(rows[row])))
      return taken.includes(app) ? [] : [[app, { title: app, description, app, rows: shown }]]
    })
}

/** JSON with a line for each value that fits into one. */
function format(value: unknown, indent = ''): string {
  const line = JSON.stringify(value)
  if (indent.length + line.length < 120 || typeof value !== 'object' || !value) return line
  const inner = `${indent}  `
  const parts = Array.isArray(value)
    ? value.map(one => format(one, inner))
    : Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${format(one, inner)}`)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  return `${open}\n${parts.map(part => inner + part).join(',\n')}\n${indent}${close}`
}

/** The text of each dashboard's file, by the file's name. */
export const dashboards = new Map(
  [...Object.entries(source.dashboards), ...applications()].map(([name, dashboard]) => [
    `${name}.json`,
    `${format(dashboardOf(name, dashboard))}\n`,
  ]),
)

/** Names of files that are not what dashboards.yaml says, or not there, or too many. */
export const staleDashboards = (): string[] =>
  [...new Set([...readdirSync(folder), ...dashboards.keys()])].filter(name => {
    const file = join(folder, name)
    return !existsSync(file) || readFileSync(file, 'utf8') !== dashboards.get(name)
  })

if (process.argv[1] === import.meta.filename)
  for (const name of staleDashboards()) {
    console.log(name)
    const text = dashboards.get(name)
    if (!process.argv.includes('--write')) continue
    if (text) writeFileSync(join(folder, name), text)
    else rmSync(join(folder, name))
  }
