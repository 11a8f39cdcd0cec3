// What the doctor says of the monitoring: whether it finds the logs, and whether anybody would be
// told.
import type { Stack } from '../compose/stack.ts'
import type { EngineInfo } from '../engine/engine.ts'
import { receivers } from '../monitoring/silence.ts'
import { finding, type Finding } from './finding.ts'

type MonitoredStack = Pick<Stack, 'monitored' | 'suffix'>

/** Whether logs are where the collector looks, and, of a stack with real data, whether anybody is told. */
export function judgeMonitoring(
  stack: MonitoredStack,
  values: Record<string, string>,
  { DockerRootDir }: Pick<EngineInfo, 'DockerRootDir'>,
): Finding[] {
  if (!stack.monitored) return []
  const file = `infra/monitoring/.env${stack.suffix}`
  const set = (key: string, words: string) =>
    finding('monitoring', 'warning', words, `set ${key} in ${file}, then make up`)
  const { DOCKER_ROOT: looked } = values
  return [
    ...(looked && DockerRootDir && looked !== DockerRootDir
      ? [
          set(
            `DOCKER_ROOT=${DockerRootDir}`,
            `the engine keeps its data in ${DockerRootDir}, and the collector looks for logs in ${looked}`,
          ),
        ]
      : []),
    ...(stack.suffix ? [] : judgeReceivers(values, set)),
  ]
}

function judgeReceivers(
  values: Record<string, string>,
  set: (key: string, words: string) => Finding,
): Finding[] {
  const keys = Object.values(receivers)
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
