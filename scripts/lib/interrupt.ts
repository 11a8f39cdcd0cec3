// What a signal to a script does: its children get it too, work that was registered for it is done
// within two seconds, and nothing of the script is left.
import { AsyncLocalStorage } from 'node:async_hooks'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeStderr } from './output.ts'

type Child = Pick<ChildProcess, 'pid'>

/** The commands that run; each is the first of a process group of its own. */
export const children = new Set<Child>()
/** The processes that serve the script until it has ended. */
export const companions = new Set<ChildProcess>()

/** Sends a signal to a child and all that it has started. */
export function signalGroup(child: Child, signal: NodeJS.Signals): void {
  try {
    if (child.pid) process.kill(-child.pid, signal)
  } catch {
    // gone already
  }
}

/** Sends a signal to the process groups of all children that still run. */
export function signalChildren(signal: NodeJS.Signals): void {
  for (const child of children) signalGroup(child, signal)
}

const cleanups = new Set<() => Promise<unknown> | unknown>()
/**
 * Registers work for an interrupt (release a lock, say what serves); returns the call that
 * unregisters it.
 */
export function onInterrupt(work: () => Promise<unknown> | unknown): () => void {
  cleanups.add(work)
  return () => cleanups.delete(work)
}

let ending = false
const cleaning = new AsyncLocalStorage<boolean>()
/**
 * Once the script ends nothing goes on but the work for an interrupt: any other that starts a process
 * or waits for one waits for ever.
 */
export const blockWhenEnding = async (): Promise<void> =>
  ending && !cleaning.getStore() ? new Promise(() => {}) : undefined

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

async function handleInterrupt(signal: keyof typeof signals) {
  ending = true
  signalChildren(signal)
  await Promise.race([
    Promise.allSettled([...cleanups].map(work => cleaning.run(true, work))),
    new Promise(done => setTimeout(done, 2000).unref()),
  ])
  signalChildren('SIGKILL')
  await endCompanions()
  writeStderr(`\nInterrupted by ${signal}; what was started has been ended.\n`)
  process.exit(signals[signal])
}
/**
 * A caller that looks right after the script has ended finds none of its processes. The timer keeps
 * node from ending before: nothing else may be left that does.
 */
async function endCompanions(): Promise<void> {
  const ended = [...companions].map(child => once(child, 'close'))
  for (const child of companions) signalGroup(child, 'SIGKILL')
  await Promise.race([Promise.all(ended), new Promise(done => setTimeout(done, 500))])
}
// a cancelled workflow sends SIGINT, and SIGTERM 7.5 s later; a terminal that is closed, as when
// ssh loses its connection, SIGHUP
for (const signal of Object.keys(signals) as (keyof typeof signals)[])
  process.once(signal, () => void handleInterrupt(signal))
