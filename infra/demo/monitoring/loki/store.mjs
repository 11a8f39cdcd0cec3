// Streams of lines, and the refusals of Loki: of its distributor (pkg/distributor/validator.go) and of its ingester (pkg/ingester/stream.go).

/** What a push answers when it is refused. */
export class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** A bucket of bytes that fills with time; more than its size never passes. */
class Limiter {
  constructor(rate, burst) {
    Object.assign(this, { rate, burst, tokens: burst, at: undefined })
  }

  allow(bytes, now) {
    const elapsed = (now - (this.at ?? now)) / 1000
    this.tokens = Math.min(this.burst, this.tokens + elapsed * this.rate)
    this.at = now
    if (bytes > this.tokens) return false
    this.tokens -= bytes
    return true
  }
}

export const nameOf = labels =>
  `{${Object.keys(labels)
    .sort()
    .map(name => `${name}=${JSON.stringify(labels[name])}`)
    .join(', ')}}`

const metadataBytes = metadata =>
  Object.entries(metadata).reduce(
    (sum, [name, value]) => sum + name.length + Buffer.byteLength(value),
    0,
  )
const entryBytes = ({ line, metadata }) => Buffer.byteLength(line) + metadataBytes(metadata)
const isoSeconds = ms => new Date(ms).toISOString().replace(/\.\d+/, '')
const msOf = time => Number(time / 1_000_000n)
/** What makes a line the same line. */
export const keyOf = ({ time, line, metadata }) =>
  `${time} ${JSON.stringify(Object.entries(metadata).sort())} ${line}`

/** @typedef {ReturnType<typeof import('./config.mjs').readConfig>} Config */
/** @typedef {{ time: bigint, line: string, metadata: Record<string, string> }} Entry */

export class Store {
  /**
   * @param {Config} config
   * @param {{ maxBytes?: number, clock?: () => number, diskUsage?: () => number }} options `maxBytes`: how much is kept, the oldest lines go
   *   first; `diskUsage`: the part of its disk that is used, 0 to 1
   */
  constructor(config, { maxBytes = 64 * 1024 ** 2, clock = Date.now, diskUsage = () => 0 } = {}) {
    Object.assign(this, { config, maxBytes, clock, diskUsage, bytes: 0, lines: 0, repeated: 0 })
    this.streams = new Map()
    this.discarded = new Map()
    this.limiter = new Limiter(config.bytesPerSecond, config.burstBytes)
  }

  /**
   * Keeps what Loki would keep; throws what Loki would answer, after the rest is kept.
   * @param {{ labels: Record<string, string>, entries: Entry[] }[]} streams
   * @param {(streams: { labels: Record<string, string>, entries: Entry[] }[]) => void} keep is told what is new
   */
  push(streams, keep = () => {}) {
    const errors = []
    const valid = streams
      .map(stream => this.validate(stream, errors))
      .filter(({ entries }) => entries.length)
    const total = valid
      .flatMap(({ entries }) => entries)
      .reduce((sum, entry) => sum + entryBytes(entry), 0)
    if (!this.limiter.allow(total, this.clock())) {
      this.discard(
        'rate_limited',
        valid.reduce((sum, { entries }) => sum + entries.length, 0),
      )
      const limit = this.config.bytesPerSecond
      throw new Refused(
        429,
        `ingestion rate limit exceeded for user fake (limit: ${limit} bytes/sec) while attempting to ingest '${total}' bytes`,
      )
    }
    // a 500, which OTLP's answer makes a 503
    if (this.config.diskFullThreshold && this.diskUsage() >= this.config.diskFullThreshold)
      throw new Refused(503, 'Ingester is shutting down')
    const refusals = []
    keep(valid.map(stream => ({ ...stream, entries: this.append(stream, refusals) })))
    if (refusals.length) throw refusals[0]
    if (errors.length) throw new Refused(400, errors.slice(0, 10).join('\n'))
  }

  discard(reason, count = 1) {
    this.discarded.set(reason, (this.discarded.get(reason) ?? 0) + count)
  }

  validate({ labels, entries }, errors) {
    const name = nameOf(labels)
    const wrong = this.labelError(labels, name)
    if (wrong) {
      this.discard(wrong.reason, entries.length)
      errors.push(wrong.message)
      return { labels, entries: [] }
    }
    return { labels, entries: entries.filter(entry => this.isValid(entry, name, errors)) }
  }

  labelError(labels, name) {
    const {
      max_label_names_per_series: most,
      max_label_name_length: long,
      max_label_value_length: longValue,
    } = this.config
    const names = Object.keys(labels)
    if (!names.length)
      return {
        reason: 'missing_labels',
        message: 'error at least one label pair is required per stream',
      }
    const count = names.filter(label => label !== 'service_name').length
    if (count > most)
      return {
        reason: 'max_label_names_per_series',
        message: `entry for stream '${name}' has ${count} label names; limit ${most}`,
      }
    const longName = names.find(label => label.length > long)
    if (longName)
      return {
        reason: 'label_name_too_long',
        message: `stream '${name}' has label name too long: '${longName}'`,
      }
    const long2 = names.find(label => Buffer.byteLength(labels[label]) > longValue)
    return (
      long2 && {
        reason: 'label_value_too_long',
        message: `stream '${name}' has label value too long: '${labels[long2]}'`,
      }
    )
  }

  isValid(entry, name, errors) {
    const wrong = this.entryError(entry, name)
    if (!wrong) return true
    this.discard(wrong.reason)
    errors.push(wrong.message)
    return false
  }

  entryError({ time, line, metadata }, name) {
    const { config } = this
    const now = this.clock()
    const at = isoSeconds(msOf(time))
    if (config.reject_old_samples && msOf(time) < now - config.maxAgeMs)
      return {
        reason: 'greater_than_max_sample_age',
        message: `entry for stream '${name}' has timestamp too old: ${at}, oldest acceptable timestamp is: ${isoSeconds(now - config.maxAgeMs)}`,
      }
    if (msOf(time) > now + config.creationGraceMs)
      return {
        reason: 'too_far_in_future',
        message: `entry for stream '${name}' has timestamp too new: ${at}`,
      }
    const bytes = Buffer.byteLength(line)
    if (bytes > config.maxLineBytes)
      return {
        reason: 'line_too_long',
        message: `max entry size '${config.maxLineBytes}' bytes exceeded for stream '${name}' while adding an entry with length '${bytes}' bytes`,
      }
    return this.metadataError(metadata, name)
  }

  metadataError(metadata, name) {
    const {
      allow_structured_metadata: allowed,
      maxMetadataBytes,
      max_structured_metadata_entries_count: most,
    } = this.config
    const count = Object.keys(metadata).length
    if (!count) return undefined
    if (!allowed)
      return {
        reason: 'disallowed_structured_metadata',
        message: `stream '${name}' includes structured metadata, but this feature is disallowed`,
      }
    const bytes = metadataBytes(metadata)
    if (bytes > maxMetadataBytes)
      return {
        reason: 'structured_metadata_too_large',
        message: `stream '${name}' has structured metadata too large: '${bytes}' bytes, limit: '${maxMetadataBytes}' bytes`,
      }
    if (count > most)
      return {
        reason: 'structured_metadata_too_many',
        message: `stream '${name}' has too many structured metadata labels: '${count}', limit: '${most}'`,
      }
  }

  /** @returns {Entry[]} those that are new */
  append({ labels, entries }, refusals) {
    const stream = this.streamOf(labels, entries.length, refusals)
    if (!stream) return []
    const kept = []
    for (const entry of entries) this.appendTo(stream, entry, kept, refusals)
    stream.sorted = false
    this.trim()
    return kept
  }

  streamOf(labels, count, refusals) {
    const name = nameOf(labels)
    const most = this.config.max_global_streams_per_user
    if (!this.streams.has(name) && most && this.streams.size >= most) {
      this.discard('stream_limit', count)
      refusals.push(
        new Refused(
          429,
          `maximum active stream limit exceeded when trying to create stream ${name}, user: 'fake'`,
        ),
      )
      return undefined
    }
    if (!this.streams.has(name)) {
      const limiter = new Limiter(this.config.streamBytesPerSecond, this.config.streamBurstBytes)
      this.streams.set(name, {
        name,
        labels,
        entries: [],
        seen: new Set(),
        highest: 0n,
        limiter,
        sorted: true,
      })
    }
    return this.streams.get(name)
  }

  appendTo(stream, entry, kept, refusals) {
    const key = keyOf(entry)
    if (stream.seen.has(key)) {
      this.repeated++
      return
    }
    const bytes = entryBytes(entry)
    const cutoff = stream.highest - BigInt(this.config.windowMs) * 1_000_000n
    if (!stream.limiter.allow(bytes, this.clock())) {
      this.discard('per_stream_rate_limit')
      refusals.push(
        new Refused(
          429,
          `Per stream rate limit exceeded while attempting to ingest for stream '${stream.name}' totaling ${bytes}B`,
        ),
      )
    } else if (entry.time < cutoff) {
      this.discard('too_far_behind')
      const why = `entry too far behind, entry timestamp is: ${isoSeconds(msOf(entry.time))}, oldest acceptable timestamp is: ${isoSeconds(msOf(cutoff))}`
      refusals.push(
        new Refused(
          400,
          `entry with timestamp ${isoSeconds(msOf(entry.time))} ignored, reason: '${why}', for stream: ${stream.name}`,
        ),
      )
    } else {
      this.keep(stream, entry, key, bytes)
      kept.push(entry)
    }
  }

  keep(stream, entry, key, bytes) {
    stream.seen.add(key)
    stream.entries.push({ ...entry, key, bytes })
    if (entry.time > stream.highest) stream.highest = entry.time
    this.bytes += bytes
    this.lines++
  }

  /** Nanoseconds of the oldest time that is kept. */
  oldestKept() {
    const { retentionMs } = this.config
    return retentionMs ? BigInt(this.clock() - retentionMs) * 1_000_000n : 0n
  }

  /** @param {(entry: Entry, labels: object) => boolean} isGone which lines are deleted */
  remove(isGone) {
    for (const stream of this.streams.values())
      this.drop(stream, entry => isGone(entry, stream.labels))
  }

  /** The oldest lines of the largest stream go when there is too much, and all that is past its time. */
  trim() {
    const oldest = this.oldestKept()
    for (const stream of this.streams.values())
      if (stream.entries.length && stream.entries[0].time < oldest)
        this.drop(stream, ({ time }) => time < oldest)
    while (this.bytes > this.maxBytes) {
      const largest = [...this.streams.values()].reduce((a, b) =>
        a.entries.length >= b.entries.length ? a : b,
      )
      const limit = this.sorted(largest)[Math.ceil(largest.entries.length / 10)]?.time ?? 1n << 63n
      this.drop(largest, ({ time }) => time < limit)
    }
  }

  drop(stream, isOld) {
    const gone = stream.entries.filter(isOld)
    stream.entries = stream.entries.filter(entry => !isOld(entry))
    for (const { key, bytes } of gone) {
      stream.seen.delete(key)
      this.bytes -= bytes
    }
  }

  /** @returns {Entry[]} of a stream, oldest first */
  sorted(stream) {
    if (!stream.sorted) stream.entries.sort((a, b) => Number(a.time - b.time))
    stream.sorted = true
    return stream.entries
  }
}
