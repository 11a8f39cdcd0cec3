// A bell that rings when something changes in an environment: nobody looks in vain, or late.
import { kubectl } from '../kubernetes/kubectl.ts'
import type { Environment } from '../kubernetes/environment.ts'

/**
 * ms: between two looks at the least; at the most while it may not hear yet, or not any more; at
 * the most.
 */
const pollDelaysMs = { least: 400, deaf: 1_000, most: 3_000 }

export interface ChangeSignal {
  /** Waits until it rings, or for `most` ms. */
  waitForChange: (most?: number) => Promise<void>
  close: () => void
}

const sleep = (ms: number) => new Promise<void>(done => setTimeout(done, ms))

/** Hangs the bell up. It only saves time: where it is not heard one looks every second. */
export function createChangeSignal(environment: Environment, kinds: string[]): ChangeSignal {
  const stop = new AbortController()
  const begun = Date.now()
  let rung = false
  let wake = () => {}
  let deaf = false
  const ring = () => {
    rung = true
    wake()
  }
  for (const kind of kinds)
    kubectl(environment, ['get', kind, '--watch-only', '--output', 'name'], {
      nothrow: true,
      timeout: 0,
      signal: stop.signal,
      onOutput: ring,
    }).then(
      () => (deaf = true),
      () => (deaf = true),
    )
  const rings = async (most = pollDelaysMs.most) => {
    await sleep(Math.min(pollDelaysMs.least, most))
    const rest =
      Math.min(
        most,
        deaf || Date.now() - begun < pollDelaysMs.most ? pollDelaysMs.deaf : pollDelaysMs.most,
      ) - pollDelaysMs.least
    if (!rung && rest > 0)
      await Promise.race([new Promise<void>(done => (wake = done)), sleep(rest)])
    rung = false
  }
  return { waitForChange: rings, close: () => stop.abort() }
}
