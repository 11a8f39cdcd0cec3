// What the panels of the dashboards show of a stack that runs.
import { execFileSync } from 'node:child_process'
import { dashboardFiles, fillIn, panelQueries, type PanelQuery } from '../../panel-queries.ts'
import { findSelectors } from '../../promql.ts'

/** What a panel showed in the last 5 minutes. */
export interface Shown {
  query: PanelQuery
  /** Series, or lines of a log. */
  count: number
  /** The smallest and the largest value; none of a log. */
  values?: [number, number]
  /** Why that is not what a panel must show; nothing where it is. */
  faults: string[]
}

interface Answer {
  data: {
    result: {
      metric: Record<string, string>
      value?: [number, string]
      values?: [number, string][]
    }[]
  }
}

const seconds = 300
/** A counter is not read when it counts: a rate may exceed a limit by this part of it. */
const tolerance = 0.05

/** The answers to all of it, asked by one command in Prometheus' container; where one is refused, the refusal. */
function askAll(container: string, urls: string[]): (Answer | string)[] {
  const script = 'for url; do answer=$(wget -qO- -T 10 "$url" 2>&1); printf "%s\\n" "$answer"; done'
  const argv = ['exec', container, 'sh', '-c', script, 'sh', ...urls]
  const text = execFileSync('docker', argv, { encoding: 'utf8', maxBuffer: 2 ** 28 })
  const lines = text.trimEnd().split('\n')
  if (lines.length !== urls.length)
    throw new Error(`${urls.length} questions, ${lines.length} answers`)
  return lines.map(line => (line.startsWith('{') ? (JSON.parse(line) as Answer) : line))
}

/** The application that a dashboard is about; all where it is about none. */
function valuesOf(dashboard: string): Record<string, string> {
  const variables = dashboardFiles.get(dashboard)?.templating.list as {
    type: string
    query: string
  }[]
  const app = variables.find(({ type }) => type === 'constant')?.query
  return app ? { app } : {}
}

const prometheus = (path: string) => `http://127.0.0.1:9090/api/v1/${path}`
const loki = (path: string) => `http://loki:3100/loki/api/v1/${path}`

function rangeUrl({ language, dashboard, expr }: PanelQuery, now: number): string {
  const query = encodeURIComponent(fillIn(expr, valuesOf(dashboard)))
  const path = `query_range?start=${now - seconds}&end=${now}&step=15&query=${query}`
  return language === 'logql' ? loki(path) : prometheus(path)
}

const selectorsOf = ({ language, dashboard, expr }: PanelQuery): string[] =>
  language === 'logql'
    ? []
    : findSelectors(fillIn(expr, valuesOf(dashboard))).map(({ text }) => text)

/** The labels that a legend names and no series has. */
const missingLabels = ({ legend }: PanelQuery, result: Answer['data']['result']): string[] =>
  [...legend.matchAll(/\{\{(\w+)\}\}/g)]
    .map(([, name = '']) => name)
    .filter(name => !result.some(({ metric }) => name in metric))

function judge(query: PanelQuery, answer: Answer | string, empty: string[]): Shown {
  if (typeof answer === 'string') return { query, count: 0, faults: [answer] }
  const { result } = answer.data
  const points = result.flatMap(({ values = [] }) => values)
  if (query.unit === undefined)
    return { query, count: points.length, faults: points.length ? [] : ['no line'] }
  const numbers = points.map(([, value]) => Number(value))
  const values: [number, number] = [Math.min(...numbers), Math.max(...numbers)]
  const { min = -Infinity, max = Infinity } = query
  const isWithin = values[0] >= min && values[1] <= max * (1 + tolerance)
  return {
    query,
    count: result.length,
    values,
    faults: [
      ...empty.map(selector => `no series: ${selector}`),
      ...(points.length ? [] : ['no point']),
      ...(points.length
        ? missingLabels(query, result).map(name => `no series has the label ${name}`)
        : []),
      ...(!points.length || isWithin
        ? []
        : [`${values.join(' to ')} is not within ${min} to ${max}`]),
    ],
  }
}

/** What panels show, all of them unless said. A selector that no series of the last 5 minutes matches is a fault by itself. */
export function askPanels(container: string, queries: PanelQuery[] = panelQueries): Shown[] {
  const now = Math.floor(Date.now() / 1000)
  const selectors = [...new Set(queries.flatMap(selectorsOf))]
  const instant = selectors.map(one =>
    prometheus(`query?query=${encodeURIComponent(`count(${one})`)}`),
  )
  const answers = askAll(container, [...queries.map(one => rangeUrl(one, now)), ...instant])
  const isEmpty = (selector: string) => {
    const answer = answers[queries.length + selectors.indexOf(selector)]
    return typeof answer !== 'object' || !answer.data.result.length
  }
  return queries.map((query, i) =>
    judge(query, answers[i] ?? 'no answer', selectorsOf(query).filter(isEmpty)),
  )
}
