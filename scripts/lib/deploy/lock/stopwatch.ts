/** ms that have passed: a clock that is set back takes nothing away, and sleep counts. */
export function startStopwatch(): () => number {
  const [wall, steady] = [Date.now(), performance.now()]
  return () => Math.max(Date.now() - wall, performance.now() - steady)
}
