// Looks at a machine and a stack and names every problem with the command that fixes it. Changes
// nothing.
import { readContainers, type Container } from '../compose/containers.ts'
import { findTakenPorts } from '../compose/ports.ts'
import { listProjectVolumes } from '../compose/remove.ts'
import { reservedMemory } from '../compose/services.ts'
import { stackOf } from '../compose/stack.ts'
import { inspectMachine, readEngineInfo } from '../engine/engine.ts'
import { hasProxyOrMirror } from '../images/missing.ts'
import { judgeClock, readClock } from './clock.ts'
import { judgeIdle } from './containers.ts'
import { examineEnvFiles } from './env-files.ts'
import { finding, type Finding, type Severity } from './finding.ts'
import { judgeNetworks, judgeVisitors, readNetworkFacts } from './network.ts'
import { judgeMonitoring } from './monitoring.ts'
import { judgeCpus, judgeEngine, judgePorts, judgeResources, readResources } from './machine.ts'
import { examineStack } from './stack.ts'

/**
 * Everything that is to be said of this machine and the stack of a mode, the worst of each area
 * first.
 */
export async function examineMachine(mode: string): Promise<Finding[]> {
  const stack = stackOf(mode)
  const [machine, { info: engine }] = await Promise.all([inspectMachine(), readEngineInfo()])
  const answers = Boolean(machine.engine && machine.compose)
  const [seen, volumes] = machine.engine
    ? await Promise.all([readContainers(stack.project), listProjectVolumes(stack.project)])
    : [new Map<string, Container>(), []]
  const {
    all,
    values = {},
    findings: files,
  } = await examineEnvFiles(stack, answers, seen.size > 0 || volumes.length > 0)
  const sources = [process.env.npm_config_registry ?? ''].flatMap(url =>
    URL.canParse(url) ? [new URL(url).host] : [],
  )
  const [space, taken, time, networks, rest] = await Promise.all([
    readResources(engine),
    all ? findTakenPorts(all, Object.keys(all.services), [...seen.values()]) : [],
    readClock(all, sources),
    all && machine.engine ? readNetworkFacts(stack, all, values) : undefined,
    all && machine.engine ? examineStack(stack, all, seen, volumes, hasProxyOrMirror(engine)) : [],
  ])
  const withoutFiles = () =>
    seen.size
      ? [finding('containers', 'info', 'not checked: their files cannot be read')]
      : judgeIdle(stack, volumes)
  const order: Severity[] = ['error', 'warning', 'info']
  const areas = [
    [
      ...judgeResources(
        space,
        stack.suffix || !all ? 0 : reservedMemory(all, Object.keys(all.services)),
      ),
      ...judgePorts(taken),
      ...judgeClock(time, machine.init === 'systemd'),
      ...(networks ? judgeNetworks(networks) : []),
    ],
    [
      ...judgeEngine(machine, engine),
      ...judgeCpus(all, engine),
      ...(networks && all ? judgeVisitors(networks, all, engine) : []),
    ],
    files,
    all || !machine.engine ? rest : withoutFiles(),
    judgeMonitoring(stack, values, engine),
  ]
  return areas.flatMap(list =>
    list.toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity)),
  )
}
