// For how long everything has been ready.
import { color, formatDuration } from '../report.ts'
import type { RolloutProgress } from './progress.ts'
import type { WorkloadStatus } from './status.ts'

interface StabilityWindow {
  /** ms for which all must stay ready yet; undefined while not all is. */
  remainingMs: (verdicts: WorkloadStatus[], clockOffsetMs: number) => number | undefined
  /** Nothing is known any more. */
  reset: () => void
}

/**
 * Counts `stableMs` since all were first seen ready; where nothing was done that could have harmed
 * them (`podsUndisturbed`), since their pods have been:
 * a pod's own times say as much as having looked on. `readySince`: ms of the clock when another watch, a
 * moment ago, saw all of them ready.
 */
export function trackStability(
  stableMs: number,
  podsUndisturbed: boolean,
  progress: RolloutProgress,
  readySince = 0,
): StabilityWindow {
  let since = readySince
  let said = false
  const forget = (): undefined => {
    since = 0
    said = false
  }
  const left = (verdicts: WorkloadStatus[], clockOffsetMs: number) => {
    if (!verdicts.every(({ state }) => state === 'ready')) return forget()
    since ||= podsUndisturbed ? allReadySinceMs(verdicts, clockOffsetMs) : Date.now()
    const rest = Math.max(0, since + stableMs - Date.now())
    const words = rest
      ? `all is ready, and must stay so for ${formatDuration(rest)}`
      : `all has been ready for ${formatDuration(Date.now() - since)} already`
    if (!said && stableMs) progress.printLine(color.dim(`  ${words}`))
    said = true
    return rest
  }
  return { remainingMs: left, reset: forget }
}

/**
 * Since when (ms of this machine's clock) all have been ready, as their pods say; the cluster
 * writes whole seconds.
 */
const allReadySinceMs = (verdicts: WorkloadStatus[], clockOffsetMs: number): number =>
  Math.min(
    Date.now(),
    Math.max(...verdicts.map(({ readySinceMs = 0 }) => readySinceMs)) + 1000 - clockOffsetMs,
  )
