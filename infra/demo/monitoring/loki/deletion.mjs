// Loki's requests to delete lines (pkg/compactor/deletion/request_handler.go), of the selectors without a filter that are used here. The lines are in no
// answer from then on; their files go when Loki's compactor would have come to it.
import { compileSelector } from './logql.mjs'
import { Refused } from './store.mjs'

function secondsOf(query, name) {
  const value = query.get(name) ?? ''
  if (/^\d{10}$/.test(value)) return Number(value)
  throw new Refused(400, `invalid ${name} time: require unix seconds or RFC3339 format`)
}

/**
 * What a request says.
 * @returns {(entry: { time: bigint }, labels: object) => boolean} whether a line is to be deleted
 */
export function readDeletion(query, config, now) {
  if (!config.retentionMs) throw new Refused(400, 'Retention is not enabled')
  if (!query.get('query')) throw new Refused(400, 'query not set')
  if (!query.get('start')) throw new Refused(400, 'start time not set')
  const matches = compileSelector(query.get('query'))
  const [start, end] = [secondsOf(query, 'start'), secondsOf(query, 'end')]
  if (end * 1000 > now) throw new Refused(400, 'deletes in the future are not allowed')
  if (start >= end) throw new Refused(400, "start time can't be greater than or equal to end time")
  const [from, to] = [BigInt(start) * 1_000_000_000n, BigInt(end) * 1_000_000_000n]
  return ({ time }, labels) => time >= from && time <= to && matches(labels)
}
