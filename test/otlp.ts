// OTLP's protobuf, as the collector writes it: opentelemetry-proto, logs/v1/logs.proto.

function varint(value: number): Buffer {
  const bytes = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) + 128)
  }
}

const field = (number: number, ...parts: (Buffer | string)[]): Buffer => {
  const value = Buffer.concat(parts.map(part => Buffer.from(part as string)))
  return Buffer.concat([varint(number * 8 + 2), varint(value.length), value])
}

function record(line: string, ms: number): Buffer {
  const time = Buffer.alloc(9, 1 * 8 + 1)
  time.writeBigUInt64LE(BigInt(ms) * 1_000_000n, 1)
  return field(2, time, field(5, field(1, line)))
}

/**
 * A request that brings lines of one service to `/otlp/v1/logs`.
 * @param resource its attributes
 * @param lines each with its time, in ms
 */
export function encodeLogs(resource: Record<string, string>, lines: [string, number][]): Buffer {
  const attributes = Object.entries(resource).map(([key, value]) =>
    field(1, field(1, key), field(2, field(1, value))),
  )
  const scope = field(2, ...lines.map(([line, ms]) => record(line, ms)))
  return field(1, field(1, ...attributes), scope)
}
