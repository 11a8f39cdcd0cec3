// The panels of Grafana's dashboards, in its classic form, from what
// infra/monitoring/grafana/dashboards.yaml says of them.
type Json = Record<string, any>

/** What a panel or a column shows, and how. */
export interface Value {
  expr: string
  legend?: string
  title?: string
  unit?: string | undefined
  min?: number
  max?: number
  words?: Record<string, string>
  bad?: number
  below?: boolean
}

/** A panel as dashboards.yaml has it. */
export interface Panel extends Value {
  title: string
  description: string
  kind?: 'lines' | 'number' | 'states' | 'table' | 'logs'
  source?: 'loki'
  series?: Value[]
  width?: number
  height?: number
  columns?: Record<string, string>
  key?: Record<string, string>
}

/** The range that each unit allows. */
export type Units = Record<string, { min?: number; max?: number }>

export const prometheus = { type: 'prometheus', uid: '${prometheus_datasource}' }
export const loki = { type: 'loki', uid: '${loki_datasource}' }

const types = {
  lines: 'timeseries',
  number: 'stat',
  states: 'state-timeline',
  table: 'table',
  logs: 'logs',
}
const options: Record<keyof typeof types, Json> = {
  lines: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  number: { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'background' },
  states: { showValue: 'never', mergeValues: true, legend: { showLegend: false } },
  table: { showHeader: true, cellHeight: 'sm' },
  logs: { showTime: true, wrapLogMessage: true, enableLogDetails: true, sortOrder: 'Descending' },
}

/** Unit, range, words and colours of values. */
function fieldOf({ unit = 'none', min, max, words, bad, below }: Value, units: Units): Json {
  const good = { color: 'green', value: below ? (bad ?? null) : null }
  const ill = { color: 'red', value: below ? null : bad }
  const limits = bad === undefined ? [good] : [good, ill]
  const mappings = Object.entries(words ?? {}).map(([value, text]) => ({
    type: 'value',
    options: { [value]: { text, color: value === '0' ? 'red' : 'green' } },
  }))
  return {
    unit,
    ...units[unit],
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    thresholds: { mode: 'absolute', steps: below ? limits.toReversed() : limits },
    ...(mappings.length ? { mappings } : {}),
  }
}

/** A table's own names and order of its columns; the values of each column as they are. */
function columnsOf({ columns, key, unit, series = [] }: Panel, units: Units): Json {
  const values = series.map(({ title = '' }, i) => [`Value #${refId(i)}`, title])
  const names = columns ?? { ...key, ...Object.fromEntries(values) }
  const transformations = [
    { id: 'filterFieldsByName', options: { include: { names: Object.keys(names) } } },
    // rows become one where all other columns agree, so after the rest is left out
    ...(key ? [{ id: 'merge', options: {} }] : []),
    {
      id: 'organize',
      options: {
        indexByName: Object.fromEntries(Object.keys(names).map((name, i) => [name, i])),
        renameByName: names,
      },
    },
  ]
  const toDashboard = (name: string) => ({
    matcher: { id: 'byName', options: name },
    properties: [
      {
        id: 'links',
        value: [{ title: 'Dashboard', url: '/d/kgc-${__value.text}?${__url_time_range}' }],
      },
    ],
  })
  const properties = (value: Value) =>
    Object.entries(fieldOf({ unit, ...value }, units)).map(([id, one]) => ({ id, value: one }))
  const coloured = { id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } }
  const overrides = series.map(value => ({
    matcher: { id: 'byName', options: value.title },
    properties: [...properties(value), ...(value.bad === undefined ? [] : [coloured])],
  }))
  return {
    transformations,
    overrides: [...Object.values(key ?? {}).map(toDashboard), ...overrides],
  }
}

const refId = (i: number): string => String.fromCharCode(65 + i)

function panelOf(panel: Panel, id: number, place: Json, units: Units): Json {
  const { kind = 'lines', title, description } = panel
  const isTable = kind === 'table'
  const datasource = kind === 'logs' || panel.source === 'loki' ? loki : prometheus
  const { transformations, overrides = [] } = isTable ? columnsOf(panel, units) : {}
  const custom = {
    ...(kind === 'lines' ? { fillOpacity: 10, showPoints: 'never' } : {}),
    ...(kind === 'lines' && panel.bad !== undefined ? { thresholdsStyle: { mode: 'dashed' } } : {}),
  }
  return {
    id,
    type: types[kind],
    title,
    description,
    datasource,
    gridPos: place,
    fieldConfig: {
      defaults: kind === 'logs' ? {} : { ...fieldOf(panel, units), custom },
      overrides,
    },
    options: options[kind],
    ...(transformations ? { transformations } : {}),
    targets: (panel.series ?? [panel]).map(({ expr, legend }, i) => ({
      refId: refId(i),
      datasource,
      expr,
      ...(legend ? { legendFormat: legend } : {}),
      ...(isTable || kind === 'number' ? { instant: true, range: false } : { range: true }),
      ...(isTable ? { format: 'table' } : {}),
    })),
  }
}

const sizes = { lines: [8, 8], number: [4, 8], states: [8, 8], table: [24, 8], logs: [24, 10] }

/** Places panels from left to right, a heading above those of each row. */
export function layOutPanels(rows: { title: string; panels: Panel[] }[], units: Units): Json[] {
  const panels: Json[] = []
  let [x, y, below] = [0, 0, 0]
  const startLine = () => ([x, y] = [0, below])
  for (const { title, panels: mine } of rows) {
    startLine()
    const heading = { id: panels.length + 1, type: 'row', title, collapsed: false, panels: [] }
    panels.push({ ...heading, gridPos: { x: 0, y, w: 24, h: 1 } })
    y = below = y + 1
    for (const panel of mine) {
      const [w = 8, h = 8] = sizes[panel.kind ?? 'lines']
      const place = { w: panel.width ?? w, h: panel.height ?? h }
      if (x + place.w > 24) startLine()
      panels.push(panelOf(panel, panels.length + 1, { x, y, ...place }, units))
      x += place.w
      below = Math.max(below, y + place.h)
    }
  }
  return panels
}
