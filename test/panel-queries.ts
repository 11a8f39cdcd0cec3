// What the panels of the dashboards ask, read from the files that Grafana reads.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './sandbox.ts'

type Json = Record<string, any>

const folder = join(repository, 'infra/monitoring/grafana/dashboards')

/** The dashboards by the name of their file without its end. */
export const dashboardFiles = new Map<string, Json>(
  readdirSync(folder)
    .filter(name => name.endsWith('.json'))
    .map(name => [name.slice(0, -5), JSON.parse(readFileSync(join(folder, name), 'utf8'))]),
)

/** One question of a panel. */
export interface PanelQuery {
  dashboard: string
  /** Title of the panel, and the column or the legend where the panel has several. */
  panel: string
  /** With Grafana's variables. */
  expr: string
  legend: string
  language: 'promql' | 'logql'
  /** The unit and the range of values that the panel states; none of a panel of lines. */
  unit?: string | undefined
  min?: number
  max?: number
}

/** What a table says of a column, or the panel of all its values. */
function fieldOf({ fieldConfig, transformations = [] }: Json, refId: string): Json {
  const organize = transformations.find(({ id }: Json) => id === 'organize')
  const column = organize?.options.renameByName[`Value #${refId}`]
  const override = fieldConfig.overrides.find(({ matcher }: Json) => matcher.options === column)
  const own = override?.properties.map(({ id, value }: Json) => [id, value]) ?? []
  return { ...fieldConfig.defaults, ...Object.fromEntries(own), ...(override ? { column } : {}) }
}

/** The questions of a dashboard's panels. */
export const queriesOf = (dashboard: string, { panels }: Json): PanelQuery[] =>
  panels.flatMap((panel: Json) =>
    (panel.targets ?? []).map(({ expr, legendFormat = '', refId, datasource }: Json) => {
      const { unit, min, max, column } = fieldOf(panel, refId)
      return {
        dashboard,
        panel: [panel.title, column ?? (panel.targets.length > 1 ? legendFormat : '')]
          .filter(Boolean)
          .join(': '),
        expr,
        legend: legendFormat,
        language: datasource.type === 'loki' ? 'logql' : 'promql',
        ...(panel.type === 'logs' ? {} : { unit, min, max }),
      }
    }),
  )

/** The questions of all panels. */
export const panelQueries: PanelQuery[] = [...dashboardFiles].flatMap(([name, dashboard]) =>
  queriesOf(name, dashboard),
)

const defaults: Record<string, string> = {
  // four times the interval that the data source names
  __rate_interval: '2m',
  __auto: '1m',
  environment: 'demo',
  app: '.+',
  service: '.+',
  level: '.*',
  search: '',
}

/** An expression with values for its variables, as Grafana fills them in; all there is, unless said. */
export const fillIn = (expression: string, values: Record<string, string> = {}): string =>
  expression.replace(/\$(\w+)/g, (_, name) => {
    const value = values[name] ?? defaults[name]
    if (value === undefined) throw new Error(`no variable $${name}: ${expression}`)
    return value
  })
