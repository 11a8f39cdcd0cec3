// A process' life: slow starts, crashes on request, and an end within a second of SIGTERM.

/** @param {number} milliseconds */
export const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

const endings = []

/** `work` runs when the process is told to stop. */
export function onStop(work) {
  endings.push(work)
}

/** Ends this process on SIGTERM or SIGINT, after what `onStop` asked for, but within a second. */
export function obeySignals(log) {
  let stopping = false
  const stop = async signal => {
    if (stopping) return
    stopping = true
    log.info('stopping', { signal })
    setTimeout(() => process.exit(0), 900).unref()
    await Promise.allSettled(endings.map(work => work()))
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop(signal))
}

/**
 * The start of what runs for long: crashes or waits as STANDIN_FAULT and STANDIN_START_DELAY say.
 * @param {{ contract: object, role: string, env: NodeJS.ProcessEnv, faults: Map<string, number>, log: { info: Function, error: Function } }} context
 */
export async function start({ contract, role, env, faults, log }) {
  obeySignals(log)
  if (faults.has('crash')) crash(log, 'STANDIN_FAULT=crash')
  const seconds =
    Number(env.STANDIN_START_DELAY || contract.startup[role] || 0) + (faults.get('slow') ?? 0)
  log.info('starting', { version: contract.version, seconds })
  await sleep(seconds * 1000)
  const after = faults.get('crash-after')
  if (after) setTimeout(() => crash(log, `STANDIN_FAULT=crash-after=${after}`), after * 1000)
}

function crash(log, why) {
  log.error('crashed', { why })
  process.exit(1)
}
