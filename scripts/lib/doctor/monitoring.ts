// What the doctor says of the monitoring: whether anybody would be told.
import type { Stack } from '../compose/stack.ts'
import { receivers } from '../monitoring/silence.ts'
import { finding, type Finding } from './finding.ts'

/** Of a stack with real data; a demo tells nobody. */
export function judgeMonitoring(
  { monitored, suffix }: Pick<Stack, 'monitored' | 'suffix'>,
  values: Record<string, string>,
): Finding[] {
  if (!monitored || suffix) return []
  const keys = Object.values(receivers)
  const set = (key: string, words: string) =>
    finding('monitoring', 'warning', words, `set ${key} in infra/monitoring/.env, then make up`)
  return [
    ...(keys.some(key => values[key])
      ? []
      : [set(`one of ${keys.join(', ')}`, 'nobody is told of an alert')]),
    ...(values.MONITORING_WATCHDOG_URL
      ? []
      : [
          set(
            'MONITORING_WATCHDOG_URL',
            'nobody outside notices when this machine or its monitoring is down',
          ),
        ]),
  ]
}
