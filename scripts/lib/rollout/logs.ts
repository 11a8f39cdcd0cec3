// What the cluster can show of a failure: logs and events.
import { stripVTControlCharacters } from 'node:util'
import { lastEventMs } from '../kubernetes/diagnosis/diagnosis.ts'
import { kubectl, type Manifest } from '../kubernetes/kubectl.ts'
import { selectKinds, type ClusterEvent } from '../kubernetes/objects.ts'
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
  const log = async (...more: string[]) => {
    if (!container) return ''
    const output = await kubectl(
      environment,
      ['logs', pod, '--container', container, '--tail', '40', ...more],
      { nothrow: true, timeout: 15_000 },
    )
    // the log of a container that the node has cleared away is this sentence
    return output.code === 0 && !output.stdout.startsWith('unable to retrieve container logs')
      ? stripVTControlCharacters(output.stdout).trimEnd()
      : ''
  }
  const [before, now, events] = await Promise.all([
    log('--previous'),
    log(),
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
  const output = await kubectl(environment, ['get', 'events', '--output', 'json'], {
    nothrow: true,
    timeout: 15_000,
  })
  if (output.code !== 0) return ''
  const made = (one: ClusterEvent['involvedObject']) =>
    kind === 'Deployment' && one.kind === 'ReplicaSet' && one.name?.startsWith(`${name}-`)
  const of = ({ involvedObject: one }: ClusterEvent) =>
    pod ? one.name === pod : (one.name === name && one.kind === kind) || made(one)
  const { items } = JSON.parse(output.stdout) as { items: Manifest[] }
  const all = selectKinds(items, 'Event')
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
