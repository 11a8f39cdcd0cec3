// What a container says that is waited for.
import type { Container } from './containers.ts'
import { findLastLogLine } from '../log-poller.ts'
import { run } from '../run.ts'

/**
 * Its health check's last words and the last line of its log, which `docker logs --timestamps` has
 * printed; '' when it says nothing. Pure.
 */
export function describeHealth({ State: { Health } }: Container, log: string): string {
  const check = findLastLogLine(Health?.Log?.at(-1)?.Output ?? '')
  const line = findLastLogLine(log, true)
  return [check && `its check says: ${check}`, line && `its log: ${line}`]
    .filter(Boolean)
    .join('; ')
}

/** The same, asked of the engine now; '' when nothing runs there. */
export async function probeHealth(container: Container | undefined): Promise<string> {
  if (container?.State.Status !== 'running') return ''
  const { stdout, stderr } = await run(
    ['docker', 'logs', '--timestamps', '--tail', '5', container.Id],
    { nothrow: true, timeout: 3_000 },
  )
  return describeHealth(container, `${stdout}\n${stderr}`)
}
