// OTLP's logs as they come over HTTP (opentelemetry-proto, logs/v1), and what Loki makes of them (pkg/loghttp/push/otlp.go).

// a message: number of the field → its name, its type, whether it comes many times
const messages = {
  request: { 1: ['resourceLogs', 'resourceLogs', true] },
  resourceLogs: { 1: ['resource', 'resource'], 2: ['scopeLogs', 'scopeLogs', true] },
  resource: { 1: ['attributes', 'pair', true] },
  scopeLogs: { 1: ['scope', 'scope'], 2: ['records', 'record', true] },
  scope: { 1: ['name', 'string'], 2: ['version', 'string'], 3: ['attributes', 'pair', true] },
  record: {
    1: ['time', 'number'],
    2: ['severityNumber', 'number'],
    3: ['severityText', 'string'],
    5: ['body', 'value'],
    6: ['attributes', 'pair', true],
    9: ['traceId', 'bytes'],
    10: ['spanId', 'bytes'],
    11: ['observedTime', 'number'],
  },
  pair: { 1: ['key', 'string'], 2: ['value', 'value'] },
  value: {
    1: ['string', 'string'],
    2: ['boolean', 'number'],
    3: ['integer', 'number'],
    4: ['double', 'double'],
    5: ['array', 'list'],
    6: ['map', 'map'],
  },
  list: { 1: ['values', 'value', true] },
  map: { 1: ['values', 'pair', true] },
}

/** A protobuf message's fields, as `messages` names them; fields that are not named there are passed over. */
export function decode(buffer, type = 'request') {
  const fields = messages[type]
  const result = Object.fromEntries(
    Object.values(fields).flatMap(([name, , many]) => (many ? [[name, []]] : [])),
  )
  const reader = { buffer, at: 0 }
  while (reader.at < buffer.length) {
    const tag = Number(readVarint(reader))
    const raw = readField(reader, tag & 7)
    const [name, kind, many] = fields[tag >> 3] ?? []
    if (!name) continue
    const value = convert(raw, kind)
    if (many) result[name].push(value)
    else result[name] = value
  }
  return result
}

function readVarint(reader) {
  let value = 0n
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.buffer[reader.at++]
    if (byte === undefined) throw new Error('unexpected EOF')
    value |= BigInt(byte & 127) << shift
    if (byte < 128) return value
  }
}

function readField(reader, wire) {
  if (wire === 0) return readVarint(reader)
  const length = { 1: 8, 2: 0, 5: 4 }[wire]
  if (length === undefined) throw new Error(`illegal wireType ${wire}`)
  const bytes = length || Number(readVarint(reader))
  const from = reader.at
  if (from + bytes > reader.buffer.length) throw new Error('unexpected EOF')
  reader.at += bytes
  const slice = reader.buffer.subarray(from, reader.at)
  return wire === 2 ? slice : { fixed: slice }
}

function convert(raw, kind) {
  if (kind === 'number') return raw.fixed ? raw.fixed.readBigUInt64LE() : raw
  if (kind === 'double') return raw.fixed.readDoubleLE()
  if (kind === 'string') return raw.toString('utf8')
  return kind === 'bytes' ? raw.toString('hex') : decode(raw, kind)
}

/** A value as Loki writes it into a line or a label. */
function textOf(value = {}) {
  if (value.string !== undefined) return value.string
  if (value.boolean !== undefined) return String(value.boolean === 1n)
  if (value.integer !== undefined) return String(BigInt.asIntN(64, value.integer))
  if (value.double !== undefined) return String(value.double)
  return value.array || value.map ? JSON.stringify(plainOf(value)) : ''
}

function plainOf(value) {
  if (value.array) return value.array.values.map(plainOf)
  if (value.map)
    return Object.fromEntries(value.map.values.map(pair => [pair.key, plainOf(pair.value ?? {})]))
  return value.integer === undefined ? (value.double ?? textOf(value)) : Number(value.integer)
}

const labelName = key => key.replace(/[^a-zA-Z0-9_]/g, '_').replace(/^(?=\d)/, 'key_')

/** Attributes as names and texts; a map within becomes `outer_inner`. */
function labelsOf(attributes, prefix = '') {
  return attributes.flatMap(({ key, value }) => {
    const name = labelName(prefix ? `${prefix}_${key}` : key)
    return value?.map ? labelsOf(value.map.values, name) : [[name, textOf(value)]]
  })
}

/** Labels of the stream and structured metadata of what is said of a resource. */
function resourceLabels(attributes, { indexLabels, discover_service_name: discover }) {
  const labels = Object.fromEntries(labelsOf(attributes.filter(({ key }) => indexLabels.has(key))))
  const metadata = Object.fromEntries(
    labelsOf(attributes.filter(({ key }) => !indexLabels.has(key))),
  )
  if (discover.length && !attributes.some(({ key }) => key === 'service.name')) {
    const found = discover.find(name => labels[name] !== undefined)
    labels.service_name = found ? labels[found] : 'unknown_service'
  }
  return { labels, metadata }
}

function recordMetadata({
  attributes,
  time,
  observedTime,
  severityNumber,
  severityText,
  traceId,
  spanId,
}) {
  const fields = {
    observed_timestamp: time && observedTime,
    severity_number: severityNumber,
    severity_text: severityText,
    trace_id: traceId,
    span_id: spanId,
  }
  const given = Object.entries(fields).filter(([, value]) => value)
  return {
    ...Object.fromEntries(labelsOf(attributes)),
    ...Object.fromEntries(given.map(([name, value]) => [name, String(value)])),
  }
}

/**
 * The streams of a request: labels, and entries of time (ns), line and structured metadata.
 * @param {Buffer} body
 * @param {ReturnType<typeof import('./config.mjs').readConfig>} config
 */
export function toStreams(body, config, now = BigInt(Date.now()) * 1_000_000n) {
  return decode(body).resourceLogs.map(({ resource, scopeLogs }) => {
    const { labels, metadata } = resourceLabels(resource?.attributes ?? [], config)
    const entries = scopeLogs.flatMap(({ scope, records }) => {
      const named = { scope_name: scope?.name, scope_version: scope?.version }
      const ofScope = Object.fromEntries([
        ...Object.entries(named).filter(([, value]) => value),
        ...labelsOf(scope?.attributes ?? []),
      ])
      return records.map(record => ({
        time: record.time || record.observedTime || now,
        line: textOf(record.body),
        metadata: { ...recordMetadata(record), ...metadata, ...ofScope },
      }))
    })
    return { labels, entries }
  })
}
