// The part of Loki's HTTP interface that the collector, panels and scripts use: OTLP in, LogQL out, its health and metrics.
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { durationMs } from './config.mjs'
import { readDeletion } from './deletion.mjs'
import { compile, compileSelector, labelsKey } from './logql.mjs'
import { toStreams } from './otlp.mjs'
import { Refused } from './store.mjs'

const tooLarge = 100 * 1024 ** 2
const now = () => BigInt(Date.now()) * 1_000_000n

async function readBody(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const encoding = request.headers['content-encoding'] ?? ''
  if (body.length > tooLarge) throw new Refused(413, 'message size too large')
  if (!['', 'gzip'].includes(encoding))
    throw new Refused(400, `unsupported content encoding ${encoding}`)
  return encoding ? gunzipSync(body) : body
}

function readStreams(body, request, config) {
  const type = request.headers['content-type']
  if (type !== 'application/x-protobuf')
    throw new Refused(400, `content type: ${type} is not supported`)
  try {
    return toStreams(body, config)
  } catch (error) {
    throw new Refused(400, error.message)
  }
}

/** Nanoseconds of what a query says: nanoseconds, seconds, or RFC 3339. */
function timeOf(value, fallback) {
  if (value === null) return fallback
  if (/^\d{16,}$/.test(value)) return BigInt(value)
  const ms = /^[\d.]+$/.test(value) ? Number(value) * 1000 : Date.parse(value)
  if (Number.isNaN(ms)) throw new Refused(400, `could not parse the time ${value}`)
  return BigInt(Math.round(ms)) * 1_000_000n
}

function rangeOf(query, config) {
  const end = timeOf(query.get('end'), now())
  const start = timeOf(query.get('start'), end - 3_600_000_000_000n)
  if (end < start) throw new Refused(400, 'end timestamp must not be before or equal to start time')
  if (Number((end - start) / 1_000_000n) > durationMs(config.max_query_length))
    throw new Refused(
      400,
      `the query time range exceeds the limit (limit: ${config.max_query_length})`,
    )
  return { start, end }
}

function streamsResult(entries, query, config) {
  const limit = Number(query.get('limit') ?? 100)
  if (limit > config.max_entries_limit_per_query)
    throw new Refused(
      400,
      `max entries limit per query exceeded, limit > max_entries_limit_per_query (${limit} > ${config.max_entries_limit_per_query})`,
    )
  const forward = query.get('direction') === 'forward'
  const ordered = entries
    .sort((a, b) => (forward ? 1 : -1) * Number(a.time - b.time))
    .slice(0, limit)
  const streams = new Map()
  for (const { time, line, labels } of ordered) {
    const key = labelsKey(labels)
    if (!streams.has(key)) streams.set(key, { stream: labels, values: [] })
    streams.get(key).values.push([String(time), line])
  }
  return { resultType: 'streams', result: [...streams.values()] }
}

const seconds = time => Number(time / 1_000_000n) / 1000

function matrixResult(samples, store, { start, end }, step) {
  const series = new Map()
  for (let at = start; at <= end; at += step)
    for (const { labels, value } of samples(store, at)) {
      const key = labelsKey(labels)
      if (!series.has(key)) series.set(key, { metric: labels, values: [] })
      series.get(key).values.push([seconds(at), String(value)])
    }
  if (series.size > store.config.max_query_series)
    throw new Refused(
      400,
      `maximum of series (${store.config.max_query_series}) reached for a single query`,
    )
  return { resultType: 'matrix', result: [...series.values()] }
}

function queryRange(store, query) {
  const range = rangeOf(query, store.config)
  const { entries, samples } = compile(query.get('query') ?? '')
  if (entries)
    return streamsResult(entries(store, range.start - 1n, range.end - 1n), query, store.config)
  const whole = Number((range.end - range.start) / 1_000_000_000n)
  const step = Number(query.get('step')?.replace(/s$/, '') ?? Math.max(Math.floor(whole / 250), 1))
  if (!(step > 0))
    throw new Refused(400, 'zero or negative query resolution step widths are not accepted')
  if (whole / step > 11_000)
    throw new Refused(400, 'exceeded maximum resolution of 11,000 points per time series')
  return matrixResult(samples, store, range, BigInt(Math.round(step * 1e9)))
}

function queryNow(store, query) {
  const at = timeOf(query.get('time'), now())
  const { samples } = compile(query.get('query') ?? '')
  if (!samples)
    throw new Refused(
      400,
      'log queries are not supported as an instant query type, please change your query to a range query type',
    )
  return {
    resultType: 'vector',
    result: samples(store, at).map(({ labels, value }) => ({
      metric: labels,
      value: [seconds(at), String(value)],
    })),
  }
}

const streamsOf = (store, query) => {
  const selector = query.get('query') ?? query.get('match[]')
  const all = [...store.streams.values()].map(({ labels }) => labels)
  return selector ? all.filter(compileSelector(selector)) : all
}
const labelNames = (store, query) =>
  [...new Set(streamsOf(store, query).flatMap(Object.keys))].sort()
const labelValues = (store, query, name) =>
  [...new Set(streamsOf(store, query).flatMap(labels => labels[name] ?? []))].sort()

/** Under Loki's names; what Loki does not count is `standin_…`. */
const metrics = store =>
  [
    `loki_distributor_lines_received_total{tenant="fake"} ${store.lines + store.repeated}`,
    `loki_ingester_memory_streams{tenant="fake"} ${store.streams.size}`,
    ...[...store.discarded].map(
      ([reason, count]) =>
        `loki_discarded_samples_total{reason="${reason}",tenant="fake"} ${count}`,
    ),
    `loki_ingester_wal_disk_usage_percent ${store.diskUsage()}`,
    `standin_lines ${store.lines}`,
    `standin_repeated_lines_total ${store.repeated}`,
  ].join('\n') + '\n'

function answer(store, { pathname, searchParams: query }) {
  const value = /^\/loki\/api\/v1\/label\/(\w+)\/values$/.exec(pathname)
  if (value) return labelValues(store, query, value[1])
  if (pathname === '/loki/api/v1/query_range') return queryRange(store, query)
  if (pathname === '/loki/api/v1/query') return queryNow(store, query)
  if (pathname === '/loki/api/v1/labels') return labelNames(store, query)
  if (pathname === '/loki/api/v1/series') return streamsOf(store, query)
  throw new Refused(404, '404 page not found')
}

async function handle(store, { keep, remove }, request, response) {
  const url = new URL(request.url, 'http://loki')
  if (request.method === 'POST' && url.pathname === '/otlp/v1/logs') {
    store.push(readStreams(await readBody(request), request, store.config), keep)
    return response.writeHead(204).end()
  }
  if (request.method === 'POST' && url.pathname === '/loki/api/v1/delete') {
    const isGone = readDeletion(url.searchParams, store.config, store.clock())
    store.remove(isGone)
    remove(isGone)
    return response.writeHead(204).end()
  }
  if (request.method !== 'GET') throw new Refused(405, 'method not allowed')
  if (url.pathname === '/ready') return response.end('ready\n')
  if (url.pathname === '/metrics') {
    // Prometheus 3 reads no answer without it
    response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
    return response.end(metrics(store))
  }
  response.setHeader('content-type', 'application/json; charset=UTF-8')
  response.end(JSON.stringify({ status: 'success', data: answer(store, url) }))
}

/**
 * Serves a store.
 * @param {import('./store.mjs').Store} store
 * @param {{ port: number, keep?: (streams: object[]) => void, remove: (isGone: (entry: object, labels: object) => boolean) => void }} options `keep`
 *   is called with what is new, before the answer; `remove` says which lines are deleted
 */
export function serve(store, { port, ...files }) {
  const server = createServer((request, response) =>
    handle(store, files, request, response).catch(error => {
      // OTLP's exporters try again after a 503, and never after a 500
      const status = error.status ?? 503
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(error.message)
    }),
  )
  return new Promise((resolve, reject) =>
    server.once('error', reject).listen(port, () => resolve(server)),
  )
}
