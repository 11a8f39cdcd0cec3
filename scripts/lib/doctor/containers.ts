// What the doctor says of a stack's containers. Pure: container-facts.ts does the asking.
import { isOneShot, wasPruned } from '../compose/services.ts'
import type { ComposeConfig, Stack } from '../compose/stack.ts'
import { containerStatus, type ContainerCondition } from '../compose/container-status.ts'
import { goLiveCommand, type Container } from '../compose/containers.ts'
import { finding, type Finding } from './finding.ts'
import { redisRemedy } from '../redis.ts'
import { formatDuration } from '../report.ts'

/** Restarts within this time (ms) of now are worth a warning, older ones a remark. */
const recent = 10 * 60_000

export interface StackHealth {
  stack: Pick<Stack, 'mode' | 'project' | 'suffix'>
  config: ComposeConfig
  /** Containers by service. */
  containers: Map<string, Container>
  /** The project's volumes, by their full names. */
  volumes: string[]
  /** What the log of services that do not run well ends with, in words. */
  logs: Map<string, string>
  /** The likely cause, in words, why a service is unhealthy. */
  causes: Map<string, string>
  /** Processes that the kernel has killed in running containers because memory ran out. */
  oomKills: Map<string, number>
  /** A restore holds it back: not all of it is started. */
  isHeld: boolean
  now: number
}

/** The command that starts it. */
export const upCommand = ({ mode }: StackHealth['stack']): string =>
  `make up${mode === 'dev' ? '' : ` MODE=${mode}`}`

/** What starts what is missing: a start is refused while a restore is held back. */
const startCommand = ({ stack, isHeld }: StackHealth): string =>
  isHeld ? goLiveCommand(stack.mode) : upCommand(stack)

/** The one line for a stack of which nothing is there. */
export function judgeIdle(stack: StackHealth['stack'], volumes: string[]): Finding[] {
  if (!volumes.length)
    return [
      finding(
        'containers',
        'info',
        `${stack.project} has never been started`,
        stack.suffix ? `make ${stack.mode}` : upCommand(stack),
      ),
    ]
  // people stop a development stack when they go home; production that does not run is an outage
  const words = `${stack.project} is not running; its ${volumes.length} volumes exist`
  return [finding('containers', stack.mode === 'prod' ? 'error' : 'info', words, upCommand(stack))]
}

/** The state of every service of a stack that was started. */
export function judgeContainers(health: StackHealth): Finding[] {
  const { stack, config, containers } = health
  const missing = Object.keys(config.services).filter(
    service => !containers.has(service) && !wasPruned(config, containers, service),
  )
  // outside production an application may be left out as a whole (`make up APPS=…`): its services
  // share an internal network
  const parts = new Set([...containers.keys()].flatMap(service => internal(config, service)))
  const gaps = missing.filter(
    service =>
      stack.mode === 'prod' || internal(config, service).some(network => parts.has(network)),
  )
  const rest = missing.filter(service => !gaps.includes(service))
  const unknown = [...containers.keys()].filter(service => !config.services[service])
  const [start, held] = [startCommand(health), health.isHeld ? ', held back by a restore' : '']
  return [
    ...[...containers].flatMap(([service, container]) =>
      config.services[service] ? judgeContainer(health, service, container) : [],
    ),
    ...(gaps.length
      ? [finding('containers', 'warning', `not started${held}: ${gaps.join(', ')}`, start)]
      : []),
    ...(rest.length
      ? [finding('containers', 'info', `not started here${held}: ${rest.join(', ')}`, start)]
      : []),
    ...(unknown.length
      ? [finding('containers', 'info', `no longer in the files: ${unknown.join(', ')}`, start)]
      : []),
  ]
}

const internal = (all: ComposeConfig, service: string): string[] =>
  Object.keys(all.services[service]?.networks ?? {}).filter(key => all.networks?.[key]?.internal)

/** Conditions that are no fault; a one-shot that runs or is done is none either. */
const goodConditions: ContainerCondition[] = ['running', 'healthy', 'done']

function judgeContainer(health: StackHealth, service: string, container: Container): Finding[] {
  const oneShot = isOneShot(health.config, service)
  const { condition, detail } = containerStatus(container, oneShot)
  const severity = condition === 'starting' ? 'info' : 'error'
  const words = `${service}: ${detail}${moreOf(health, service, container)}`
  const next = remedyOf(health, service, condition)
  return [
    ...(container.State.Status === 'running' && !oneShot
      ? judgeHistory(health, service, container)
      : []),
    ...(goodConditions.includes(condition) ? [] : [finding('containers', severity, words, next)]),
  ]
}

/** What is known besides: how long it has been starting, the likely cause, its log. */
function moreOf({ now, causes, logs }: StackHealth, service: string, { State }: Container): string {
  const [cause, log] = [causes.get(service), logs.get(service)]
  if (State.Health?.Status === 'starting')
    return `, for ${formatDuration(now - Date.parse(State.StartedAt))}`
  return `${cause ? `; likely cause: ${cause}` : ''}${log ? `; ${log}` : ''}`
}

function remedyOf(health: StackHealth, service: string, condition: ContainerCondition): string {
  const compose = `docker compose -p ${health.stack.project}`
  if (condition === 'restarting' || condition === 'crash loop')
    return `${compose} logs --tail 100 ${service}`
  return condition === 'paused' ? `${compose} unpause ${service}` : startCommand(health)
}

/** What has happened to a container that runs: killed processes, restarts. */
function judgeHistory(
  { stack, oomKills, now }: StackHealth,
  service: string,
  { RestartCount: restarts, State: state }: Container,
): Finding[] {
  const compose = `docker compose -p ${stack.project}`
  const age = now - Date.parse(state.StartedAt)
  const killed = finding(
    'containers',
    'warning',
    `${service} had a process killed because it ran out of memory`,
    `${compose} stats --no-stream ${service}   (then raise its mem_limit)`,
  )
  const restarted = finding(
    'containers',
    age < recent ? 'warning' : 'info',
    `${service} was restarted ${restarts}×, last ${formatDuration(age)} ago`,
    `${compose} logs --tail 100 ${service}`,
  )
  return [
    ...(state.OOMKilled || oomKills.get(service) ? [killed] : []),
    ...(restarts ? [restarted] : []),
  ]
}

/** What is said of Redis containers that are full, almost full, or cannot write. */
export const judgeFullRedis = (full: Map<string, string>): Finding[] =>
  [...full].map(([service, words]) =>
    finding(
      'containers',
      words.includes('almost') ? 'warning' : 'error',
      `${service}: ${words}`,
      redisRemedy,
    ),
  )
