// What pods say that are waited for.
import { kubectl } from '../kubernetes/kubectl.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { refreshRedaction } from '../kubernetes/secret-values.ts'
import { findLastLogLine } from '../log-poller.ts'
import type { WorkloadStatus } from './status.ts'

/**
 * The last line of each one's log, `its log: …`, without what their Secrets hold by now; '' of who
 * says nothing.
 */
export async function fetchLastLogLines(
  environment: Environment,
  all: NonNullable<WorkloadStatus['logSource']>[],
): Promise<string[]> {
  await refreshRedaction(environment)
  return Promise.all(
    all.map(async ({ pod, container }) => {
      const { code, stdout } = await kubectl(
        environment,
        ['logs', pod, '--container', container, '--tail', '5'],
        { nothrow: true, timeout: 3_000 },
      )
      const line = code === 0 ? findLastLogLine(stdout) : ''
      return line && `its log: ${line}`
    }),
  )
}
