// Which backups a rule keeps, as `restic forget` does (internal/restic/snapshot_policy.go): the
// newest of each day, week or month that has one, as many of those as the rule says. Pure.
import { usageFailure } from '../../cli.ts'

const kinds = ['last', 'daily', 'weekly', 'monthly'] as const
type Kind = (typeof kinds)[number]

/** How many of each are kept. */
export type KeepRules = Partial<Record<Kind, number>>

/** The rules in the words of a command, `--keep-daily 7`. Throws Failure (usage) for what is no number from 1 on. */
export function readKeepRules(values: Record<string, unknown>): KeepRules {
  const rules: KeepRules = {}
  for (const kind of kinds) {
    const given = values[`keep-${kind}`]
    if (given === undefined) continue
    const count = typeof given === 'string' && /^\d{1,6}$/.test(given) ? Number(given) : 0
    if (count < 1) throw usageFailure(`--keep-${kind} takes a number from 1 on`)
    rules[kind] = count
  }
  return rules
}

const dayMs = 86_400_000
/** What two times of one day, week (from Monday) or month have in common, in UTC. */
const periodOf: Record<Kind, (time: number, index: number) => string> = {
  last: (_, index) => `${index}`,
  daily: time => new Date(time).toISOString().slice(0, 10),
  weekly: time => `${Math.floor((Math.floor(time / dayMs) + 3) / 7)}`,
  monthly: time => new Date(time).toISOString().slice(0, 7),
}

/** By which rules each time is kept, the newest first; an empty list: by none. */
export function selectKept(times: number[], rules: KeepRules): Kind[][] {
  const kept = times.map(() => [] as Kind[])
  for (const kind of kinds) {
    let left = rules[kind] ?? 0
    let before: string | undefined
    for (const [index, time] of times.entries()) {
      if (!left) break
      const period = periodOf[kind](time, index)
      // while a rule has some left it keeps the oldest, too: the history is as long as it may be
      if (period === before && index < times.length - 1) continue
      kept[index]?.push(kind)
      before = period
      left--
    }
  }
  return kept
}
