// LogQL by Grafana's own grammar, and the part of it that panels and scripts use. What is not in that part is refused by name, never passed over.
import { parser } from '@grafana/lezer-logql'
import { durationMs } from './config.mjs'
import { Refused } from './store.mjs'

const children = node => {
  const all = []
  for (let child = node.firstChild; child; child = child.nextSibling) all.push(child)
  return all
}
const child = (node, name) => children(node).find(one => one.name === name)
/** All nodes of a name below a node, in order, but none within one that was found. */
const below = (node, name) =>
  children(node).flatMap(one => (one.name === name ? [one] : below(one, name)))

const bad = message => new Refused(400, `parse error : ${message}`)
const unsupported = what => new Refused(400, `the stand-in for Loki does not know ${what}`)

/** @returns {import('@lezer/common').SyntaxNode} */
function parse(query) {
  const tree = parser.parse(query)
  tree.iterate({
    enter: ({ type, from }) => {
      if (type.isError) throw bad(`syntax error at position ${from} of ${query}`)
    },
  })
  return tree.topNode
}

const text = (node, query) => query.slice(node.from, node.to)
const unquote = quoted => (quoted[0] === '`' ? quoted.slice(1, -1) : JSON.parse(quoted))

/** Go's regular expressions say flags in front. */
function regex(pattern, whole) {
  // what RE2 does not have: looking around, and what was found before
  if (/\(\?(?:[=!]|<[=!])|\\[1-9k]/.test(pattern))
    throw bad(`error parsing regexp: invalid or unsupported Perl syntax: ${pattern}`)
  const [, flags = '', rest] = /^(?:\(\?([is]+)\))?([\s\S]*)$/.exec(pattern)
  try {
    return new RegExp(whole ? `^(?:${rest})$` : rest, `u${flags}`)
  } catch (error) {
    throw bad(`error parsing regexp: ${error.message}`)
  }
}

const comparisons = {
  Eq: wanted => value => value === wanted,
  Neq: wanted => value => value !== wanted,
  Re: pattern =>
    (
      compiled => value =>
        compiled.test(value)
    )(regex(pattern, true)),
  Nre: pattern =>
    (
      compiled => value =>
        !compiled.test(value)
    )(regex(pattern, true)),
}

function matcher(node, query) {
  const [name, operator, value] = children(node)
  const compare = comparisons[operator?.name]
  if (!compare || value?.name !== 'String') throw unsupported(`the matcher ${text(node, query)}`)
  const label = text(name, query)
  const test = compare(unquote(text(value, query)))
  return Object.assign(labels => test(labels[label] ?? ''), { matchesEmpty: test('') })
}

function selector(node, query) {
  const all = below(node, 'Matcher').map(one => matcher(one, query))
  if (!all.some(({ matchesEmpty }) => !matchesEmpty))
    throw bad(
      'queries require at least one regexp or equality matcher that does not have an empty-compatible value',
    )
  return labels => all.every(matches => matches(labels))
}

const lineFilters = {
  PipeExact: wanted => line => line.includes(wanted),
  Neq: wanted => line => !line.includes(wanted),
  PipeMatch: pattern =>
    (
      compiled => line =>
        compiled.test(line)
    )(regex(pattern)),
  Nre: pattern =>
    (
      compiled => line =>
        !compiled.test(line)
    )(regex(pattern)),
}

function lineFilter(node, query) {
  const operator = child(node, 'Filter')?.firstChild?.name
  const value = child(node, 'String')
  if (!lineFilters[operator] || !value) throw unsupported(`the filter ${text(node, query)}`)
  const test = lineFilters[operator](unquote(text(value, query)))
  return entry => test(entry.line) && entry
}

function flatten(value, prefix = '') {
  return Object.entries(value).flatMap(([key, one]) => {
    const name = `${prefix}${key}`.replace(/\W/g, '_')
    if (Array.isArray(one) || one === null) return []
    return typeof one === 'object' ? flatten(one, `${name}_`) : [[name, String(one)]]
  })
}

function parseJson(entry) {
  try {
    const found = Object.fromEntries(flatten(JSON.parse(entry.line)))
    const renamed = Object.entries(found).map(([name, value]) => [
      name in entry.labels ? `${name}_extracted` : name,
      value,
    ])
    return { ...entry, labels: { ...entry.labels, ...Object.fromEntries(renamed) } }
  } catch {
    return { ...entry, labels: { ...entry.labels, __error__: 'JSONParserErr' } }
  }
}

function labelFilter(node, query) {
  const [first, operator, second] = children(node)
  if (first.name === 'Matcher') {
    const matches = matcher(first, query)
    return labels => matches(labels)
  }
  if (first.name !== 'LabelFilter' || !second) throw unsupported(`the filter ${text(node, query)}`)
  const [a, b] = [labelFilter(first, query), labelFilter(second, query)]
  return operator.name === 'Or'
    ? labels => a(labels) || b(labels)
    : labels => a(labels) && b(labels)
}

function stages(node, query) {
  return children(node)
    .filter(({ name }) => name !== 'Pipe')
    .flatMap(part => {
      if (part.name === 'LineFilters')
        return below(part, 'LineFilter').map(one => lineFilter(one, query))
      if (
        part.name === 'LabelParser' &&
        part.firstChild?.name === 'Json' &&
        children(part).length === 1
      )
        return [parseJson]
      if (part.name !== 'LabelFilter') throw unsupported(`the stage ${text(part, query)}`)
      const test = labelFilter(part, query)
      return [entry => test(entry.labels) && entry]
    })
}

/** The entries of a log query within a time, with all their labels, structured metadata among them. */
function logQuery(node, query) {
  const matches = selector(child(node, 'Selector'), query)
  const pipeline = below(node, 'PipelineStage').flatMap(stage => stages(stage, query))
  const run = entry => pipeline.reduce((now, stage) => now && stage(now), entry)
  return (store, from, to) =>
    [...store.streams.values()]
      .filter(({ labels }) => matches(labels))
      .flatMap(stream =>
        store
          .sorted(stream)
          .filter(({ time }) => time > from && time <= to)
          .map(({ time, line, metadata }) =>
            run({ time, line, labels: { ...stream.labels, ...metadata } }),
          )
          .filter(Boolean),
      )
}

const lineBytes = entries => entries.reduce((sum, { line }) => sum + Buffer.byteLength(line), 0)
const rangeFunctions = {
  CountOverTime: entries => entries.length,
  Rate: (entries, seconds) => entries.length / seconds,
  BytesOverTime: lineBytes,
  BytesRate: (entries, seconds) => lineBytes(entries) / seconds,
}

/** Groups by `keyOf`, in order of arrival. */
function groupBy(all, keyOf) {
  const groups = new Map()
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one])
  return [...groups.values()]
}

/** The same for the same labels, in any order. */
export const labelsKey = labels => JSON.stringify(Object.entries(labels).sort())

function rangeAggregation(node, query) {
  const compute = rangeFunctions[child(node, 'RangeOp')?.firstChild?.name]
  const range = child(node, 'LogRangeExpr')
  if (!compute || !range || child(node, 'Grouping')) throw unsupported(text(node, query))
  const ms = durationMs(text(below(range, 'Duration')[0], query))
  const entries = logQuery(range, query)
  return (store, at) =>
    groupBy(entries(store, at - BigInt(ms) * 1_000_000n, at), ({ labels }) =>
      labelsKey(labels),
    ).map(group => ({ labels: group[0].labels, value: compute(group, ms / 1000) }))
}

const sum = values => values.reduce((a, b) => a + b, 0)
const vectorFunctions = {
  Sum: sum,
  Max: values => Math.max(...values),
  Min: values => Math.min(...values),
  Avg: values => sum(values) / values.length,
  Count: values => values.length,
}

/** What remains of the labels: `by (…)`, `without (…)`, or nothing. */
function grouping(node, query) {
  if (!node) return () => ({})
  const names = new Set(below(node, 'Identifier').map(one => text(one, query)))
  const by = Boolean(child(node, 'By'))
  return labels =>
    Object.fromEntries(Object.entries(labels).filter(([name]) => names.has(name) === by))
}

function vectorAggregation(node, query) {
  const operator = child(node, 'VectorOp')?.firstChild?.name
  const inner = metricQuery(child(node, 'MetricExpr'), query)
  if (operator === 'Topk') {
    const most = Number(text(child(node, 'Number'), query))
    return (store, at) =>
      inner(store, at)
        .sort((a, b) => b.value - a.value)
        .slice(0, most)
  }
  const compute = vectorFunctions[operator]
  if (!compute) throw unsupported(text(node, query))
  const remaining = grouping(child(node, 'Grouping'), query)
  return (store, at) =>
    groupBy(
      inner(store, at).map(one => ({ ...one, labels: remaining(one.labels) })),
      ({ labels }) => labelsKey(labels),
    ).map(group => ({ labels: group[0].labels, value: compute(group.map(({ value }) => value)) }))
}

/** @returns {(store: import('./store.mjs').Store, at: bigint) => { labels: Record<string, string>, value: number }[]} */
function metricQuery(node, query) {
  const inner = node.firstChild
  if (inner?.name === 'RangeAggregationExpr') return rangeAggregation(inner, query)
  if (inner?.name === 'VectorAggregationExpr') return vectorAggregation(inner, query)
  throw unsupported(text(node, query))
}

/**
 * A query that can be run: `entries` of a log query, or `samples` of a metric query.
 * @param {string} query
 */
export function compile(query) {
  const [inner] = below(parse(query), 'Expr').map(node => node.firstChild)
  if (inner?.name === 'LogExpr') return { entries: logQuery(inner, query) }
  if (inner?.name === 'MetricExpr') return { samples: metricQuery(inner, query) }
  throw bad(`not a query: ${query}`)
}

/** The streams that a selector alone matches. */
export function compileSelector(query) {
  return selector(below(parse(query), 'Selector')[0], query)
}
