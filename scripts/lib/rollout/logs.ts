// What the cluster can show of a failure: logs and events.
import { stripVTControlCharacters } from 'node:util'
import { isApiSuccess } from '../kubernetes/api.ts'
import { lastEventMs } from '../kubernetes/diagnosis/diagnosis.ts'
import { selectKinds, type ClusterEvent } from '../kubernetes/objects.ts'
import { listObjects, requestLog } from '../kubernetes/resources.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { redact } from '../redact.ts'
import type { FailureCause } from './status.ts'

/**
 * What the pod itself says: the last 40 lines of its log, before its last restart and now, and its
 * last 5 events.
 */
export async function collectFailureLogs(
  cause: FailureCause,
  environment: Environment,
): Promise<string> {
  const { pod, container } = cause
  const log = async (previous: boolean) => {
    if (!container) return ''
    const query = { container, tailLines: 40, previous }
    const answer = await requestLog(environment, pod, query, 15_000)
    // the log of a container that the node has cleared away is this sentence
    return isApiSuccess(answer) && !answer.text.startsWith('unable to retrieve container logs')
      ? stripVTControlCharacters(answer.text).trimEnd()
      : ''
  }
  const [before, now, events] = await Promise.all([
    log(true),
    log(false),
    formatEvents(cause, environment),
  ])
  const part = (title: string, text: string) =>
    text
      ? [
          `${title}:`,
          ...redact(text)
            .split('\n')
            .map(line => `  ${line.slice(0, 500)}`),
        ]
      : []
  return [
    ...(before === now
      ? []
      : part(`log of ${container} before its last restart, last 40 lines`, before)),
    ...part(`log of ${container}, last 40 lines`, now),
    ...part('last events', events),
  ].join('\n')
}

async function formatEvents(
  { pod, kind, name }: FailureCause,
  environment: Environment,
): Promise<string> {
  const events = await listObjects(environment, ['v1/events']).catch(() => [])
  const made = (one: ClusterEvent['involvedObject']) =>
    kind === 'Deployment' && one.kind === 'ReplicaSet' && one.name?.startsWith(`${name}-`)
  const of = ({ involvedObject: one }: ClusterEvent) =>
    pod ? one.name === pod : (one.name === name && one.kind === kind) || made(one)
  const all = selectKinds(events, 'Event')
    .filter(of)
    .sort((a, b) => lastEventMs(a) - lastEventMs(b))
  const times = (event: ClusterEvent) => ((event.count ?? 0) > 1 ? ` (${event.count} times)` : '')
  const clock = (event: ClusterEvent) => new Date(lastEventMs(event)).toISOString().slice(11, 19)
  return all
    .slice(-5)
    .map(
      event =>
        `${clock(event)} ${event.reason}${times(event)}: ${(event.message ?? '').trim().replaceAll('\n', ' ')}`,
    )
    .join('\n')
}
