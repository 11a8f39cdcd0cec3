// The last log lines of pods that are being waited for.
import { isApiSuccess } from '../kubernetes/api.ts'
import { requestLog } from '../kubernetes/resources.ts'
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
      const answer = await requestLog(environment, pod, { container, tailLines: 5 }, 3_000)
      const line = isApiSuccess(answer) ? findLastLogLine(answer.text) : ''
      return line && `its log: ${line}`
    }),
  )
}
