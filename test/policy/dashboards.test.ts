// What every dashboard must keep: the rules that Grafana's dashboard-linter publishes, and that
// each panel asks for what is there.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parser as logql } from '@grafana/lezer-logql'
import { rules } from '../alerts.ts'
import { staleDashboards } from '../dashboards.ts'
import { dashboardFiles, fillIn, queriesOf, type PanelQuery } from '../panel-queries.ts'
import { findSelectors, findSyntaxErrors, keptLabels } from '../promql.ts'
import { findUnknownSeries, labelsOf } from '../series.ts'

type Json = Record<string, any>

const test = suite('dashboards')
const recorded = new Map(rules.flatMap(({ record, expr }) => (record ? [[record, expr]] : [])))
/** In Loki: those of the stream, and what stands beside a line. */
const streamLabels = ['application', 'service', 'environment']
const lineLabels = [...streamLabels, 'level', 'stream', 'container']

/** The text of an expression without what stands between quotes. */
const withoutStrings = (expr: string): string => expr.replace(/"[^"]*"|`[^`]*`/g, '""')
const rangesOf = (expr: string): string[] =>
  [...withoutStrings(expr).matchAll(/\[([^\]]+)\]/g)].map(([, range]) => range!)

function logqlFaults({ expr }: PanelQuery): string[] {
  const text = fillIn(expr)
  const faults: string[] = []
  logql.parse(text).iterate({
    enter: ({ type, from }) =>
      void (type.isError && faults.push(`cannot be read at ${from}: ${text}`)),
  })
  const named = (part: string) =>
    [...part.matchAll(/(\w+) *(?:=~|!~|!=|=)/g)].map(([, one]) => one!)
  const [, selector = '', rest = ''] = /\{([^}]*)\}(.*)/s.exec(withoutStrings(expr)) ?? []
  const grouped = [...expr.matchAll(/ by \(([^)]*)\)/g)].flatMap(([, names = '']) =>
    names.split(/, */),
  )
  const unknown = [
    ...named(selector).filter(name => !streamLabels.includes(name)),
    ...[...named(rest), ...grouped].filter(name => !lineLabels.includes(name)),
  ]
  return [
    ...faults,
    ...unknown.map(name => `no line has the label ${name}`),
    ...(named(selector).includes('environment') ? [] : ['not of one environment']),
    ...rangesOf(expr)
      .filter(range => range !== '$__auto')
      .map(range => `[${range}] is not [$__auto]`),
  ]
}

/** The labels of a series, or of what a recording rule makes. */
const knownLabels = (name: string): string[] =>
  recorded.has(name) ? keptLabels(recorded.get(name)!).flat() : labelsOf(name)

function promqlFaults({ expr }: PanelQuery, description: string): string[] {
  const text = fillIn(expr)
  const selectors = findSelectors(text)
  const known = selectors.flatMap(({ name }) => knownLabels(name))
  const fixed = rangesOf(expr).filter(range => range !== '$__rate_interval')
  const words: Record<string, RegExp> = { '1h': /last hour/, '10m': /10 minutes/ }
  return [
    ...findSyntaxErrors(text).map(error => `cannot be read ${error}`),
    ...findUnknownSeries(text, [...recorded.keys()]).map(name => `nothing serves ${name}`),
    ...selectors.flatMap(({ name, labels }) => [
      ...labels
        .filter(label => !knownLabels(name).includes(label))
        .map(label => `${name} has no label ${label}`),
      ...(labels.includes('environment') ? [] : [`${name} of every environment`]),
    ]),
    ...keptLabels(text)
      .flat()
      .filter(label => !known.includes(label))
      .map(label => `nothing has the label ${label}`),
    // a fixed time is said, because the panel does not follow what was chosen
    ...fixed
      .filter(range => !words[range]?.test(description))
      .map(range => `[${range}] is not [$__rate_interval], and the description does not say it`),
    ...(/\brate\(/.test(expr) && fixed.length ? ['a rate has $__rate_interval'] : []),
  ]
}

/** Whether each label of a legend is one that the answer has. */
function legendFaults({ expr, legend, language }: PanelQuery): string[] {
  const text = fillIn(expr)
  const kept =
    language === 'logql'
      ? [...expr.matchAll(/ by \(([^)]*)\)/g)].flatMap(([, names = '']) => names.split(/, */))
      : keptLabels(text).flat()
  const had = kept.length ? kept : findSelectors(text).flatMap(({ name }) => knownLabels(name))
  return [...legend.matchAll(/\{\{(\w+)\}\}/g)]
    .filter(([, label]) => !had.includes(label!))
    .map(([, label]) => `the legend's ${label} is not in the answer`)
}

function rangeFaults({ unit, min, max }: PanelQuery): string[] {
  if (!unit) return ['no unit']
  return [
    ...(min === undefined ? ['no smallest value'] : []),
    ...(unit === 'percentunit' && max !== 1 ? ['a ratio goes to 1'] : []),
    ...(unit === 'none' && max === undefined ? ['no largest value'] : []),
  ]
}

const isVariable = ({ type, uid }: Json = {}): boolean => uid === `\${${type}_datasource}`

function panelFaults(panel: Json, panels: Json[], name: string): string[] {
  if (panel.type === 'row') return panel.title ? [] : ['a row without a title']
  const { x, y, w, h } = panel.gridPos
  const covers = ({ gridPos: other, id }: Json) =>
    id !== panel.id &&
    x < other.x + other.w &&
    other.x < x + w &&
    y < other.y + other.h &&
    other.y < y + h
  const queries = queriesOf(name, { panels: [panel] })
  const isLogs = panel.type === 'logs'
  return [
    ...(panel.title ? [] : ['no title']),
    ...(/\.$/.test(panel.description ?? '') ? [] : ['no description']),
    ...(isVariable(panel.datasource) ? [] : ['a fixed data source']),
    ...(panel.targets.every(({ datasource }: Json) => isVariable(datasource))
      ? []
      : ['a fixed data source of a target']),
    ...(queries.length ? [] : ['asks nothing']),
    ...(panels.filter(({ id }) => id === panel.id).length === 1 ? [] : ['its id stands twice']),
    ...(x + w > 24 || panels.some(covers) ? ['covers another, or leaves the page'] : []),
    ...queries.flatMap(query => [
      ...(isLogs ? [] : rangeFaults(query)),
      ...(query.language === 'logql'
        ? logqlFaults(query)
        : promqlFaults(query, panel.description ?? '')),
      ...legendFaults(query),
    ]),
  ].map(fault => `${panel.title || panel.id}: ${fault}`)
}

function faultsOf(name: string, dashboard: Json): string[] {
  const { uid, title, description, panels, templating, annotations } = dashboard
  const variables: Json[] = templating.list
  const text = JSON.stringify([panels, annotations, variables.map(({ name: _, ...rest }) => rest)])
  const names = variables.map(variable => variable.name)
  const used = [...text.matchAll(/\$\{?(?!__)([a-z_]+)/g)].map(([, one]) => one!)
  const titles = panels.map((panel: Json) => panel.title)
  const deploys = annotations.list[0] ?? {}
  return [
    ...(/^kgc-[a-z-]{1,36}$/.test(uid) ? [] : [`the uid ${uid}`]),
    ...(title && description ? [] : ['no title or description']),
    ...(dashboard.editable === false ? [] : ['it can be changed where nobody keeps the change']),
    ...(/^now-/.test(dashboard.time?.from) && dashboard.refresh && dashboard.timezone
      ? []
      : ['no time, refresh or time zone']),
    ...names.filter(one => !used.includes(one)).map(one => `nothing uses $${one}`),
    ...used.filter(one => !names.includes(one)).map(one => `there is no variable $${one}`),
    ...variables
      .filter(
        ({ type, refresh, datasource }) =>
          type === 'query' && (refresh !== 2 || !isVariable(datasource)),
      )
      .map(one => `$${one.name} is not asked again, or of a fixed data source`),
    ...(names.includes('environment') ? [] : ['no environment']),
    ...(deploys.useValueForTime && isVariable(deploys.datasource)
      ? promqlFaults(deploys as PanelQuery, '')
      : ['no mark of deploys']),
    ...panels.flatMap((panel: Json) => panelFaults(panel, panels, name)),
    ...titles
      .filter(
        (one: string, i: number) =>
          panels[i].type !== 'row' &&
          panels.findIndex((panel: Json) => panel.title === one && panel.type !== 'row') !== i,
      )
      .map((one: string) => `two panels are called ${one}`),
  ].map(fault => `${name}: ${fault}`)
}

test('the files are what dashboards.yaml says; node --import=tsx test/dashboards.ts --write', () => {
  assert.equal(staleDashboards(), [])
})

test('every dashboard keeps the rules, and every query names series and labels that are there', () => {
  assert.equal(
    [...dashboardFiles].flatMap(([name, dashboard]) => faultsOf(name, dashboard)),
    [],
  )
  const uids = [...dashboardFiles.values()].map(({ uid }) => uid)
  assert.is(new Set(uids).size, uids.length)
})

test('what breaks a rule is named', () => {
  const panel = (dashboard: Json) =>
    dashboard.panels.find(({ type }: Json) => type === 'timeseries')
  const broken: [change: (dashboard: Json) => void, fault: string][] = [
    [one => (one.uid = 'Überblick'), 'the uid Überblick'],
    [one => (one.editable = true), 'it can be changed where nobody keeps the change'],
    [one => delete one.refresh, 'no time, refresh or time zone'],
    [one => (one.annotations.list = []), 'no mark of deploys'],
    [one => one.templating.list.push({ name: 'unused' }), 'nothing uses $unused'],
    [one => one.templating.list.splice(0, 1), 'there is no variable $prometheus_datasource'],
    [one => delete panel(one).description, 'no description'],
    [one => (panel(one).datasource.uid = 'prometheus'), 'a fixed data source'],
    [one => delete panel(one).fieldConfig.defaults.unit, 'no unit'],
    [one => delete panel(one).fieldConfig.defaults.min, 'no smallest value'],
    [one => delete panel(one).fieldConfig.defaults.max, 'a ratio goes to 1'],
    [one => (panel(one).gridPos.x = 4), 'covers another, or leaves the page'],
    [
      one => (panel(one).targets[0].legendFormat = '{{database}}'),
      "the legend's database is not in the answer",
    ],
    ...Object.entries({
      'sum(': 'cannot be read at 4: ',
      'pg_upp{environment="$environment"}': 'nothing serves pg_upp',
      'pg_up{environment="$environment", service="a"}': 'pg_up has no label service',
      'sum by (service) (pg_up{environment="$environment"})': 'nothing has the label service',
      pg_up: 'pg_up of every environment',
      'rate(pg_stat_database_xact_commit{environment="$environment"}[5m])':
        '[5m] is not [$__rate_interval], and the description does not say it',
    }).map(([expr, fault]): [(dashboard: Json) => void, string] => [
      one => Object.assign(panel(one).targets[0], { expr, legendFormat: '' }),
      fault,
    ]),
    ...Object.entries({
      '{application=~"$app", environment="$environment"': 'cannot be read at ',
      '{app=~"$app", environment="$environment"}': 'no line has the label app',
      '{application=~"$app", level="error", environment="$environment"}':
        'no line has the label level',
      '{application=~"$app"}': 'not of one environment',
      'sum(rate({environment="$environment"} [5m]))': '[5m] is not [$__auto]',
    }).map(([expr, fault]): [(dashboard: Json) => void, string] => [
      one =>
        Object.assign(panel(one).targets[0], {
          expr,
          legendFormat: '',
          datasource: { type: 'loki', uid: '${loki_datasource}' },
        }),
      fault,
    ]),
  ]
  for (const [change, fault] of broken) {
    const dashboard = structuredClone(dashboardFiles.get('postgresql')!)
    change(dashboard)
    const named = faultsOf('postgresql', dashboard)
    assert.ok(
      named.some(one => one.includes(fault)),
      `${fault}: ${named.join('\n')}`,
    )
  }
})

test.run()
