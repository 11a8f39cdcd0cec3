// What the doctor asks and says of the machine: engine, disk, memory, ports, clock. The judges are pure.
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { request } from 'node:https'
import { totalmem } from 'node:os'
import type { Config, Container } from './compose.ts'
import { finding, type Finding } from './doctor-finding.ts'
import { tooOld, type Info, type Machine } from './engine.ts'
import { plan } from './engine-plan.ts'
import { Failure } from './errors.ts'
import { registryOf } from './images.ts'
import { holder, isFree, publishedPorts } from './ports.ts'
import { run } from './run.ts'

const GB = 1e9
const sizes = { diskError: 5 * GB, diskWarning: 20 * GB, memory: 4 * GB }
/** Seconds of difference that break one-time passwords, and sessions and certificates. */
const drift = { warning: 30, error: 300 }

export function judgeEngine(machine: Machine, info: Info): Finding[] {
  const next = mend(machine)
  const found: Finding[] = []
  if (!machine.client) return [finding('engine', 'error', 'the docker command is not there', next)]
  if (machine.podman) found.push(finding('engine', 'error', '`docker` is Podman here; the stack was never run on it', next))
  if (!machine.engine) found.push(finding('engine', 'error', `the engine does not answer: ${machine.silence}`, next))
  if (!machine.compose) found.push(finding('engine', 'error', 'Compose v2 is not there', next))
  if (!machine.buildx) found.push(finding('engine', 'error', 'buildx is not there', next))
  for (const { part, version, least, remedy } of tooOld(machine)) found.push(finding('engine', 'error', `${part} ${version} is older than ${least}, the lowest that was tested`, remedy))
  if (['vfs', 'aufs', 'devicemapper'].includes(info.Driver ?? ''))
    found.push(finding('engine', 'warning', `storage driver ${info.Driver}: slow, or no longer supported`, 'https://docs.docker.com/engine/storage/drivers/select-storage-driver/'))
  if (!found.some(({ severity }) => severity === 'error'))
    found.push(finding('engine', 'info', `Docker ${machine.engine}, Compose ${machine.compose?.version}, buildx ${machine.buildx?.version}, cgroup v${info.CgroupVersion ?? '?'}, ${info.Driver}`))
  return found
}

/** The command that gives the machine what it lacks. */
function mend(machine: Machine): string {
  try {
    plan(machine)
    return 'make bootstrap'
  } catch (error) {
    if (error instanceof Failure && error.next) return error.next
    throw error
  }
}

export interface Resources {
  /** Bytes free where the engine keeps its data; undefined when it cannot be seen from here. */
  free?: number
  folder: string
  memory: number
}

export async function resources({ DockerRootDir: folder = '/var/lib/docker', MemTotal }: Info): Promise<Resources> {
  const disk = existsSync(folder) ? await statfs(folder).catch(() => undefined) : undefined
  return { folder, memory: MemTotal || totalmem(), ...(disk ? { free: disk.bavail * disk.bsize } : {}) }
}

/** `real`: the stack runs the real applications, which are hungrier than a demo's. */
export function judgeResources({ free, folder, memory }: Resources, real: boolean): Finding[] {
  const size = (bytes: number) => `${(bytes / GB).toFixed(1)} GB`
  const found: Finding[] = []
  if (free !== undefined && free < sizes.diskWarning)
    found.push(finding('machine', free < sizes.diskError ? 'error' : 'warning', `${size(free)} free on the disk of ${folder}; ${size(sizes.diskWarning)} are wanted`, 'docker buildx prune --force && docker image prune --force'))
  if (real && memory < sizes.memory) found.push(finding('machine', 'warning', `${size(memory)} of memory; the full stack wants ${size(sizes.memory)}`, 'make up APPS="<folder> traefik"   (fewer applications)'))
  return found
}

export interface Taken {
  service: string
  port: number
  by: string
}

/** The stack's ports that another holds; what its own containers hold is theirs. */
export async function takenPorts(all: Config, seen: Map<string, Container>): Promise<Taken[]> {
  const wanted = publishedPorts(all, Object.keys(all.services)).filter(({ service }) => seen.get(service)?.State.Status !== 'running')
  const taken = await Promise.all(wanted.map(async one => ((await isFree(one.host, one.port)) ? [] : [{ service: one.service, port: one.port, by: await holder(one.port) }])))
  return taken.flat()
}

export const judgePorts = (taken: Taken[]): Finding[] =>
  taken.map(({ service, port, by }) => {
    const [, pid] = /\(pid (\d+)\)/.exec(by) ?? []
    const next = by.startsWith('container ') ? `docker stop ${by.slice(10).replaceAll(',', '')}` : pid ? `sudo kill ${pid}` : `sudo ss -ltnp 'sport = :${port}'`
    return finding('machine', 'error', `port ${port}, which ${service} wants, is held by ${by || 'another process'}`, `${next}   (or another port in the env files)`)
  })

/** Where the true time comes from: a server's Date header, or the machine's own NTP. */
export interface Clock {
  /** Seconds that this machine is ahead of `host`. */
  ahead?: number
  host?: string
  date?: string
  synchronised?: boolean
}

/** Asks the registries of the stack's images and `others`; where none answers, the machine's time service. */
export async function clock(all: Config | undefined, others: string[]): Promise<Clock> {
  const images = Object.values(all?.services ?? {}).flatMap(({ image }) => (image ? [image] : []))
  const hosts = [...new Set([...images.map(registryOf), ...others])].filter(host => !/^(localhost|127\.)/.test(host))
  const told = await Promise.any(hosts.map(dateOf)).catch(() => undefined)
  if (told) return told
  const ntp = (await run(['timedatectl', 'show', '--property', 'NTPSynchronized', '--value'], { nothrow: true, timeout: 5_000 })).stdout.trim()
  return ntp === 'yes' || ntp === 'no' ? { synchronised: ntp === 'yes' } : {}
}

/** A server's Date. Its certificate is not judged: by a wrong clock a good one looks bad. */
const dateOf = (host: string): Promise<Clock> =>
  new Promise((resolve, reject) => {
    const start = Date.now()
    const call = request({ host: host.split(':')[0], port: Number(host.split(':')[1] ?? 443), path: '/', method: 'HEAD', rejectUnauthorized: false, timeout: 4_000 }, ({ headers }) => {
      const then = Date.parse(headers.date ?? '')
      call.destroy()
      if (Number.isNaN(then)) return reject(new Error(`${host} names no time`))
      // the header has whole seconds: half of one is the best guess
      resolve({ host, date: headers.date!, ahead: Math.round(((start + Date.now()) / 2 - then - 500) / 1000) })
    })
    call.on('timeout', () => call.destroy(new Error(`${host} is silent`)))
    call.on('error', reject)
    call.end()
  })

export function judgeClock({ ahead, host, date, synchronised }: Clock, systemd: boolean): Finding[] {
  const set = systemd ? 'sudo timedatectl set-ntp true' : date ? `sudo date -u -s "${date}"` : 'sudo apt-get install --yes chrony'
  if (ahead !== undefined) {
    const off = Math.abs(ahead)
    if (off <= drift.warning) return []
    return [finding('machine', off > drift.error ? 'error' : 'warning', `the clock is ${off} s ${ahead > 0 ? 'ahead of' : 'behind'} ${host}`, set)]
  }
  if (synchronised === false) return [finding('machine', 'warning', 'the clock is not synchronised by NTP', set)]
  return synchronised ? [] : [finding('machine', 'info', 'whether the clock is right is not known: no server answers, and no time service')]
}
