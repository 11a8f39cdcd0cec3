// What the doctor asks and says of a stack's images, containers and volumes. The judges are pure.
import { isOneShot, type Config, type Container, type Stack } from './compose.ts'
import { finding, type Finding } from './doctor-finding.ts'
import { registryAnswers, registryOf } from './images.ts'
import { duration } from './report.ts'
import { run } from './run.ts'

/** Restarts within this time (ms) of now are worth a warning, older ones a remark. */
const recent = 10 * 60_000

export interface Pulse {
  stack: Pick<Stack, 'mode' | 'project' | 'suffix'>
  all: Config
  /** Containers by service. */
  seen: Map<string, Container>
  /** The project's volumes, by their full names. */
  volumes: string[]
  /** The last line of the log of services that do not run well. */
  logs: Map<string, string>
  now: number
}

const up = ({ mode }: Pulse['stack']): string => `make up${mode === 'dev' ? '' : ` MODE=${mode}`}`

/** The one line for a stack of which nothing is there. */
export function judgeIdle(stack: Pulse['stack'], volumes: string[]): Finding[] {
  if (!volumes.length) return [finding('containers', 'info', `${stack.project} has never been started`, stack.suffix ? `make ${stack.mode}` : up(stack))]
  // people stop a development stack when they go home; production that does not run is an outage
  return [finding('containers', stack.mode === 'prod' ? 'error' : 'info', `nothing of ${stack.project} is running; its ${volumes.length} volumes are here`, up(stack))]
}

/** The state of every service of a stack that was started. */
export function judgeContainers(pulse: Pulse): Finding[] {
  const { stack, all, seen } = pulse
  const missing = Object.keys(all.services).filter(service => !seen.has(service))
  const unknown = [...seen.keys()].filter(service => !all.services[service])
  return [
    ...[...seen].flatMap(([service, container]) => (all.services[service] ? judgeContainer(pulse, service, container) : [])),
    ...(missing.length ? [finding('containers', 'warning', `not started: ${missing.join(', ')}`, up(stack))] : []),
    ...(unknown.length ? [finding('containers', 'info', `no longer in the files: ${unknown.join(', ')}`, up(stack))] : []),
  ]
}

function judgeContainer(pulse: Pulse, service: string, { RestartCount: restarts, State: state }: Container): Finding[] {
  const say = (severity: Finding['severity'], what: string, next = up(pulse.stack)) => [finding('containers', severity, `${service} ${what}`, next)]
  const log = pulse.logs.get(service)
  const memory = state.OOMKilled ? ', out of memory' : ''
  const ended = `exit ${state.ExitCode}${memory}${state.Error ? `, ${state.Error}` : ''}${log ? `; its log ends: ${log}` : ''}`
  if (state.Status === 'restarting') return say('error', `crashes again and again (${restarts} restarts): ${ended}`, `docker compose -p ${pulse.stack.project} logs --tail 100 ${service}`)
  if (state.Status === 'paused') return say('error', 'is paused', `docker compose -p ${pulse.stack.project} unpause ${service}`)
  if (state.Status === 'created') return say('error', `was never started${state.Error ? `: ${state.Error}` : ''}`)
  if (isOneShot(pulse.all, service)) return state.Status === 'exited' && state.ExitCode !== 0 ? say('error', `has failed: ${ended}`) : []
  if (state.Status !== 'running') return say('error', `has ended: ${ended}`)
  const age = pulse.now - Date.parse(state.StartedAt)
  const [probe] = state.Health?.Log?.slice(-1) ?? []
  const why = probe?.Output.trim().split('\n').at(-1)?.slice(0, 300) || 'its check printed nothing'
  return [
    ...(memory ? say('warning', 'had a process killed for want of memory', `docker stats --no-stream $(docker compose -p ${pulse.stack.project} ps -q ${service})   (then raise its mem_limit)`) : []),
    ...(state.Health?.Status === 'unhealthy' ? say('error', `is unhealthy: ${why}`) : []),
    ...(state.Health?.Status === 'starting' ? say('info', `is still starting (${duration(age)})`) : []),
    ...(restarts ? say(age < recent ? 'warning' : 'info', `was restarted ${restarts}×, last ${duration(age)} ago`, `docker compose -p ${pulse.stack.project} logs --tail 100 ${service}`) : []),
  ]
}

/** The last log line of each service that does not run. */
export async function lastWords(seen: Map<string, Container>): Promise<Map<string, string>> {
  const ill = [...seen].filter(([, { State: state }]) => state.Status === 'restarting' || (state.Status === 'exited' && state.ExitCode !== 0))
  const lines = ill.map(async ([service, { Id }]) => {
    const output = await run(['docker', 'logs', '--tail', '3', Id], { nothrow: true, timeout: 10_000 })
    return [service, `${output.stdout}\n${output.stderr}`.trim().split('\n').at(-1)!.slice(0, 300)] as const
  })
  return new Map((await Promise.all(lines)).filter(([, line]) => line))
}

/** Registries of these images that do not answer. */
export async function silentRegistries(images: string[]): Promise<string[]> {
  const hosts = [...new Set(images.map(registryOf))]
  const answers = await Promise.all(hosts.map(host => registryAnswers(host, 5_000)))
  return hosts.filter((_, i) => !answers[i])
}

/** `silent`: registries that do not answer. A demo's images are built here and never pulled. */
export function judgeImages(stack: Pulse['stack'], total: number, missing: string[], silent: string[], started: boolean): Finding[] {
  const unset = missing.filter(image => image.endsWith(':unset'))
  const rest = missing.filter(image => !unset.includes(image))
  const found: Finding[] = unset.length ? [finding('images', 'warning', `no commit is chosen for ${unset.join(', ')}`, 'set KGC_REF (its .env.example says how), then make env')] : []
  if (!rest.length) return found
  const words = `${rest.length} of ${total} are not on this machine: ${rest.join(', ')}`
  if (stack.suffix) return [...found, finding('images', started ? 'error' : 'info', words, `make ${stack.mode}`)]
  if (silent.length) return [...found, finding('images', 'error', `${words}; no answer from ${silent.join(', ')}`, 'make demo   (needs no image registry)')]
  return [...found, finding('images', started ? 'warning' : 'info', `${words}; they will be pulled`, up(stack))]
}

/** Volumes that the files name and that are not there, and the other way round. Silent for a stack that was never started. */
export function judgeVolumes({ stack, all, seen, volumes }: Pulse): Finding[] {
  if (!volumes.length && !seen.size) return []
  const named = Object.values(all.volumes ?? {}).map(({ name }) => name)
  const missing = named.filter(name => !volumes.includes(name))
  const unused = volumes.filter(name => !named.includes(name))
  return [
    ...(missing.length ? [finding('volumes', 'info', `not there yet: ${missing.join(', ')}`, up(stack))] : []),
    ...(unused.length ? [finding('volumes', 'info', `no longer in the files: ${unused.join(', ')}`, `docker volume rm ${unused.join(' ')}   (its data is gone then)`)] : []),
  ]
}

/** A line of `df -P` in a container. */
export interface Filesystem {
  service: string
  device: string
  /** Percent. */
  used: number
}

/** How full the disks under the volumes are, asked in the containers that have them. */
export async function filesystems(all: Config, seen: Map<string, Container>): Promise<Filesystem[]> {
  const asked = [...seen].map(async ([service, { Id, State: state }]) => {
    const targets = (all.services[service]?.volumes ?? []).filter(({ type }) => type === 'volume').map(({ target }) => target)
    if (state.Status !== 'running' || !targets.length) return []
    return parseDf(service, (await run(['docker', 'exec', Id, 'df', '-P', ...targets], { nothrow: true, timeout: 10_000 })).stdout)
  })
  return (await Promise.all(asked)).flat()
}

export const parseDf = (service: string, text: string): Filesystem[] =>
  [...text.matchAll(/^(\S.*?)\s+\d+\s+\d+\s+-?\d+\s+(\d+)%\s/gm)].map(([, device, used]) => ({ service, device: device!, used: Number(used) }))

/** One finding for each full disk, however many volumes lie on it. */
export function judgeDisks(all: Filesystem[]): Finding[] {
  const full = all.filter(({ used }) => used > 95)
  return [...new Set(full.map(({ device }) => device))].map(device => {
    const here = full.filter(one => one.device === device)
    const services = [...new Set(here.map(({ service }) => service))]
    return finding('volumes', 'error', `the disk ${device} under the volumes of ${services.join(', ')} is ${Math.max(...here.map(({ used }) => used))} % full`, 'docker system df -v')
  })
}
