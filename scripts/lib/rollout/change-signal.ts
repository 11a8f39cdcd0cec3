// Tells when something has changed in an environment, so that it is read at once and only then.
import { setTimeout as sleep } from 'node:timers/promises'
import { requestApi } from '../kubernetes/api.ts'
import { resourcePath } from '../kubernetes/resources.ts'
import type { Environment } from '../kubernetes/environment.ts'

/**
 * ms between two reads: at least, at most, and at most while the watch is not
 * connected yet or not any more.
 */
const pollDelaysMs = { min: 400, disconnected: 1_000, max: 3_000 }

export interface ChangeSignal {
  /** Waits for a change, or for `max` ms. */
  waitForChange: (max?: number) => Promise<void>
  close: () => void
}

/** Watches the resources. It only saves time: without a connection one reads every second. */
export function createChangeSignal(environment: Environment, resources: string[]): ChangeSignal {
  const stop = new AbortController()
  const begun = Date.now()
  let changed = false
  let wake = () => {}
  let disconnected = false
  const notify = () => {
    changed = true
    wake()
  }
  const listen = { timeout: Infinity, signal: stop.signal, onOutput: notify }
  for (const resource of resources)
    requestApi(environment, `${resourcePath(environment, resource)}?watch=true`, listen).then(
      () => (disconnected = true),
      () => (disconnected = true),
    )
  const waitForChange = async (max = pollDelaysMs.max) => {
    await sleep(Math.min(pollDelaysMs.min, max))
    const rest =
      Math.min(
        max,
        disconnected || Date.now() - begun < pollDelaysMs.max
          ? pollDelaysMs.disconnected
          : pollDelaysMs.max,
      ) - pollDelaysMs.min
    if (!changed && rest > 0)
      await Promise.race([new Promise<void>(done => (wake = done)), sleep(rest)])
    changed = false
  }
  return { waitForChange, close: () => stop.abort() }
}
