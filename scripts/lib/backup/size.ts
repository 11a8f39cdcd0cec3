// Whether a backup is about as large as the one before it. Pure.
import type { FoundBackup, BackupManifest } from './manifest.ts'

type Saved = Pick<BackupManifest, 'databases' | 'volumes'>
interface Amount {
  what: string
  unit: string
  count: number
}

const amountsOf = ({ databases, volumes }: Saved): Amount[] => [
  ...databases.map(({ database, rows }) => ({ what: database, unit: 'rows', count: rows })),
  ...volumes.map(({ volume, files }) => ({ what: volume, unit: 'files', count: files })),
]

export interface Shrunken {
  /** Nothing is left of what there was. */
  empty: string[]
  /** Less than half of it is left. */
  small: string[]
}

/** What has shrunk since the backup before. */
export function findShrunken(now: Saved, before: Saved): Shrunken {
  const found: Shrunken = { empty: [], small: [] }
  for (const { what, unit, count } of amountsOf(now)) {
    const then = amountsOf(before).find(one => one.what === what && one.unit === unit)?.count ?? 0
    if (!then) continue
    const words = `${what}: ${count} ${unit}, ${then} in the backup before`
    if (!count) found.empty.push(words)
    else if (count < then / 2) found.small.push(words)
  }
  return found
}

/** For each application the newest whole backup of the project that has it, as one. */
export function findPredecessor(found: FoundBackup[], project: string): Saved {
  const whole = found.flatMap(({ manifest }) => (manifest?.project === project ? [manifest] : []))
  const newest = <T>(list: (one: BackupManifest) => T[], keyOf: (one: T) => string): T[] => [
    ...new Map(
      whole
        .toReversed()
        .flatMap(list)
        .map(one => [keyOf(one), one]),
    ).values(),
  ]
  return {
    databases: newest(
      one => one.databases,
      one => one.database,
    ),
    volumes: newest(
      one => one.volumes,
      one => one.volume,
    ),
  }
}
