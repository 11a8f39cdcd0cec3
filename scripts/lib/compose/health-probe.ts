// What a container says of itself: the end of its health check and of its log.
import { readContainerLogs, type Container } from './containers.ts'
import { findLastLogLine } from '../log-poller.ts'

/**
 * Its health check's last words and the last line of its log, which `docker logs --timestamps` has
 * printed; '' when it says nothing. Pure.
 */
export function describeHealth({ State: { Health } }: Container, log: string): string {
  const check = findLastLogLine(Health?.Log?.at(-1)?.Output ?? '')
  return [check && `its check says: ${check}`, describeLog(log)].filter(Boolean).join('; ')
}

/** The last line of a log with timestamps, in words; '' when it says nothing. */
function describeLog(log: string): string {
  const line = findLastLogLine(log, true)
  return line && `its log: ${line}`
}

/** Both of them, asked of the engine now; '' when nothing runs there. */
export async function probeHealth(container: Container | undefined): Promise<string> {
  if (container?.State.Status !== 'running') return ''
  return describeHealth(container, await readLogEnd(container.Id, 3_000))
}

/** `its log: …` with the last line of a container's log; '' when it says nothing. */
export const readLastLogLine = async (id: string): Promise<string> =>
  describeLog(await readLogEnd(id, 10_000))

async function readLogEnd(id: string, timeout: number): Promise<string> {
  const { stdout, stderr } = await readContainerLogs(id, ['--timestamps', '--tail', '5'], timeout)
  return `${stdout}\n${stderr}`
}
