// How an alert is provoked in the demo, and how that ends.
import type { Demo } from './demo.ts'

export interface Fault {
  /** What fires, with labels that tell it from others of that name, and what the runbook's commands show of it. */
  alerts: Record<string, { labels?: Record<string, string | RegExp>; shows: RegExp }>
  make?: (demo: Demo) => void | Promise<void>
  /** Again and again until all fire; `round` begins with 0. */
  again?: (demo: Demo, round: number) => Promise<void>
  /** Without it the group's `up` mends it. */
  mend?: (demo: Demo) => void | Promise<void>
}

/** s of a time in ms. */
export const seconds = (ms: number): number => Math.floor(ms / 1000)
export const hour = 3_600_000

export const stop =
  (...services: string[]) =>
  (demo: Demo): void =>
    void demo.engine('stop', '-t', '1', ...services.map(demo.container))
