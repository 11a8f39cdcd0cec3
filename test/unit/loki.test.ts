// The stand-in for Loki refuses what Loki 3.7 refuses (pkg/distributor, pkg/ingester of its source),
// under the limits of the configuration that production has.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../sandbox.ts'

const test = suite('loki')
const folder = join(repository, 'infra/demo/monitoring/loki')
const { readConfig } = await import(join(folder, 'config.mjs'))
const { Store } = await import(join(folder, 'store.mjs'))
const { compile } = await import(join(folder, 'logql.mjs'))
const { toStreams } = await import(join(folder, 'otlp.mjs'))
const { readDeletion } = await import(join(folder, 'deletion.mjs'))

const configText = readFileSync(join(repository, 'infra/monitoring/loki/config.yaml'), 'utf8')
const config = readConfig(configText)
const now = Date.parse('2026-11-29T12:00:00Z')
const hour = 3_600_000
const labels = { application: 'kgc', service: 'kgc-api', environment: 'test' }
const nanoseconds = (ms: number) => BigInt(ms) * 1_000_000n
const entry = (line: string, ms = now, metadata = {}) => ({ time: nanoseconds(ms), line, metadata })
const newStore = (changes = {}) => new Store({ ...config, ...changes }, { clock: () => now })
const pushed = (store: any, entries: object[], to: object = labels) => {
  try {
    store.push([{ labels: to, entries }])
  } catch (error) {
    return `${(error as any).status} ${(error as Error).message}`
  }
  return undefined
}
const linesOf = (store: any) =>
  [...store.streams.values()].flatMap(({ entries }) => entries.map(({ line }: any) => line))

test('a line that is too old, too new or too long is refused by name, and the others of the request are kept', () => {
  const refusals: [object, RegExp, string][] = [
    [entry('x', now - 15 * 24 * hour), /^400 .*timestamp too old/, 'greater_than_max_sample_age'],
    [entry('x', now + 11 * 60_000), /^400 .*timestamp too new/, 'too_far_in_future'],
    [entry('x'.repeat(262_145)), /^400 max entry size '262144' bytes exceeded/, 'line_too_long'],
    [
      entry('x', now, { m: 'x'.repeat(65_536) }),
      /^400 .*metadata too large/,
      'structured_metadata_too_large',
    ],
    [
      entry('x', now, Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`k${i}`, 'v']))),
      /^400 .*too many structured metadata labels: '129'/,
      'structured_metadata_too_many',
    ],
  ]
  for (const [refused, why, reason] of refusals) {
    const store = newStore()
    assert.match(pushed(store, [entry('good'), refused])!, why)
    assert.equal(linesOf(store), ['good'], reason)
    assert.is(store.discarded.get(reason), 1)
  }
})

test('labels are needed, and too many or too long ones are refused', () => {
  const many = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`l${i}`, 'v']))
  assert.match(pushed(newStore(), [entry('x')], {})!, /^400 error at least one label pair/)
  assert.match(pushed(newStore(), [entry('x')], many)!, /^400 .*has 16 label names; limit 15/)
  assert.match(pushed(newStore(), [entry('x')], { a: 'x'.repeat(2049) })!, /^400 .*value too long/)
})

test('a line may be a day older than the newest of its stream, and no more: the older one is lost', () => {
  const store = newStore()
  assert.is(pushed(store, [entry('new'), entry('old', now - 23 * hour)]), undefined)
  assert.match(pushed(store, [entry('older', now - 25 * hour)])!, /^400 .*too far behind/)
  assert.is(
    pushed(store, [entry('older', now - 25 * hour)], { ...labels, service: 'b' }),
    undefined,
  )
  const standard = readConfig(configText.replace(/^  max_chunk_age:.*/m, '')).windowMs
  assert.is(standard, hour, "with Loki's own default it is an hour")
})

test('the same line of the same time is stored once; with other structured metadata it is another', () => {
  const store = newStore()
  const twice = [entry('x'), entry('x'), entry('x', now, { a: '1' }), entry('y'), entry('x')]
  assert.is(pushed(store, twice), undefined)
  assert.equal([store.lines, store.repeated], [3, 2])
})

test('too much at once and too many streams are put off, to be tried again', () => {
  const line = 'x'.repeat(200_000)
  const many = Array.from({ length: 84 }, (_, i) => entry(line, now + i))
  assert.match(pushed(newStore(), many)!, /^429 ingestion rate limit exceeded/)
  assert.match(pushed(newStore({ burstBytes: 1e9 }), many)!, /^429 Per stream rate limit/)
  const store = newStore({ max_global_streams_per_user: 1 })
  assert.is(pushed(store, [entry('x')]), undefined)
  assert.match(pushed(store, [entry('x')], { a: 'b' })!, /^429 maximum active stream limit/)
})

test('a disk that is nine tenths full takes nothing more, and what comes then is to be tried again', () => {
  let diskUsage = 0.95
  const full = new Store(config, { clock: () => now, diskUsage: () => diskUsage })
  assert.match(pushed(full, [entry('x')])!, /^503 /)
  diskUsage = 0.8
  assert.is(pushed(full, [entry('x')]), undefined)
  assert.equal(linesOf(full), ['x'])
})

test('an unknown limit is refused, as Loki refuses to start', () => {
  assert.throws(() => readConfig('limits_config: { retention: 14d }'), /field retention not found/)
})

const recorded = readFileSync(join(repository, 'test/fixtures/logs/request.bin'))

test('of what a collector sent, three attributes become labels and the rest is structured metadata', () => {
  const streams = toStreams(recorded, config)
  assert.equal(
    streams.map((stream: any) => stream.labels),
    [labels],
  )
  const [{ line, metadata, time }] = streams[0].entries
  assert.is(line, '{"level":"error","msg":"recorded"}')
  assert.equal(Object.keys(metadata).sort(), ['container', 'level', 'stream'])
  assert.ok(time > nanoseconds(Date.parse('2026-11-01')))
})

test("with Loki's own defaults a label service_name comes in, unknown_service where nothing names one", () => {
  const [stream] = toStreams(recorded, readConfig('{}'))
  assert.equal(stream.labels, { service_name: 'unknown_service' })
  assert.is(stream.entries[0].metadata.service, 'kgc-api')
})

const store = newStore()
store.push([
  {
    labels,
    entries: [
      entry('GET /health 200', now - 3000, { level: 'info' }),
      entry('{"status":500,"user":{"id":"7"}}', now - 2000, { level: 'error' }),
      entry('Timeout of the mail server', now - 1000, { level: 'error' }),
    ],
  },
  { labels: { ...labels, service: 'kgc-web' }, entries: [entry('GET / 200', now - 500)] },
])

test('log queries select streams, filter lines and labels, and parse JSON', () => {
  const lines = (query: string) =>
    compile(query)
      .entries(store, 0n, nanoseconds(now))
      .map(({ line }: any) => line)
  assert.equal(lines('{service="kgc-api"} |= `health`'), ['GET /health 200'])
  assert.equal(lines('{application="kgc"} |~ "(?i)timeout|GET / "').length, 2)
  assert.equal(lines('{service=~"kgc-.*", environment!="demo"} != "GET" !~ "mail"').length, 1)
  assert.equal(lines('{service="kgc-api"} | level="error" | json | user_id="7"').length, 1)
  assert.equal(lines('{service="kgc-api"} | level="info" or level="error"').length, 3)
})

test('metric queries count by label over a time', () => {
  const samples = (query: string) => compile(query).samples(store, nanoseconds(now))
  assert.equal(samples('sum by (service) (count_over_time({application="kgc"}[5m]))'), [
    { labels: { service: 'kgc-api' }, value: 3 },
    { labels: { service: 'kgc-web' }, value: 1 },
  ])
  assert.equal(samples('sum(rate({application="kgc"} | level="error" [10s]))')[0].value, 0.2)
  assert.equal(samples('sum(count_over_time({application="kgc"}[2s]))')[0].value, 2)
  assert.equal(samples('topk(1, sum by (level) (count_over_time({service="kgc-api"}[5m])))'), [
    { labels: { level: 'error' }, value: 2 },
  ])
})

test('what is no LogQL, what Loki refuses and what the stand-in does not know are three errors', () => {
  assert.throws(() => compile('{service="a"'), /parse error : syntax error at position/)
  assert.throws(() => compile('{service=~".*"}'), /at least one regexp or equality matcher/)
  for (const pattern of ['a(?=b)', 'a(?<!b)', '(a)\\1'])
    assert.throws(() => compile(`{service="a"} |~ \`${pattern}\``), /unsupported Perl syntax/)
  assert.ok(compile('{service="a"} |~ `(?i)(?:a|(?<b>c))`'))
  assert.throws(() => compile('{service="a"} | logfmt'), /the stand-in for Loki does not know/)
})

test('what is asked to be deleted is gone, and of a request that Loki refuses nothing', () => {
  const at = (ms: number) => String(Math.floor(ms / 1000))
  const ask = (changes: Record<string, string> = {}, limits: object = config) => {
    const query = { query: '{application=~".+"}', start: at(now - 48 * hour), end: at(now - hour) }
    return readDeletion(new URLSearchParams({ ...query, ...changes }), limits, now)
  }
  const refused: [RegExp, () => unknown][] = [
    [/deletes in the future/, () => ask({ end: at(now + 2000) })],
    [/start time can't be greater/, () => ask({ end: at(now - 48 * hour) })],
    [/invalid end time/, () => ask({ end: '2026-11-29' })],
    [/start time not set/, () => ask({ start: '' })],
    [/query not set/, () => ask({ query: '' })],
    [/Retention is not enabled/, () => ask({}, { ...config, retentionMs: 0 })],
  ]
  for (const [why, run] of refused) assert.throws(run, why)
  const store = newStore()
  pushed(store, [entry('old', now - 2 * hour), entry('new', now - hour / 2)])
  store.remove(ask({ query: '{application="twenty"}' }))
  assert.equal(linesOf(store), ['old', 'new'])
  store.remove(ask())
  assert.equal(linesOf(store), ['new'])
})

test.run()
