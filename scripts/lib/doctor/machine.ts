// What the doctor asks and says of the machine: engine, disk, memory, ports. The judges are pure.
import { readFile, stat, statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { finding, type Finding } from './finding.ts'
import type { EngineInfo, Machine } from '../engine/engine.ts'
import { findApiMismatch, findUnsupportedParts } from '../engine/versions.ts'
import { Failure } from '../errors.ts'
import { lowerCpuLimits } from '../compose/cpus.ts'
import type { TakenPort } from '../compose/ports.ts'
import type { ComposeConfig } from '../compose/stack.ts'
import { planInstall, removeSnap, snapProblem } from '../engine/install-plan.ts'
import { root } from '../repository.ts'

const GB = 1e9
const drivers = 'https://docs.docker.com/engine/storage/drivers/select-storage-driver/'
const sizes = { diskError: 5 * GB, diskWarning: 20 * GB }

export function judgeEngine(machine: Machine, info: EngineInfo): Finding[] {
  const next = repairCommand(machine)
  const found: Finding[] = []
  if (!machine.client) return [finding('engine', 'error', 'the docker command is not there', next)]
  if (machine.podman)
    found.push(
      finding('engine', 'error', '`docker` is Podman here; the stack was never run on it', next),
    )
  if (!machine.engine && !findApiMismatch(machine))
    found.push(finding('engine', 'error', `the engine does not answer: ${machine.silence}`, next))
  if (!machine.compose) found.push(finding('engine', 'error', 'Compose v2 is not there', next))
  if (!machine.buildx) found.push(finding('engine', 'error', 'buildx is not there', next))
  for (const { why, remedy } of findUnsupportedParts(machine))
    found.push(finding('engine', 'error', why, remedy))
  if (['vfs', 'aufs', 'devicemapper'].includes(info.Driver ?? ''))
    found.push(
      finding(
        'engine',
        'warning',
        `storage driver ${info.Driver}: slow, or no longer supported`,
        drivers,
      ),
    )
  if (machine.snap)
    found.push(
      finding('engine', root.startsWith('/home/') ? 'warning' : 'error', snapProblem, removeSnap),
    )
  const versions = `Docker ${machine.engine}, Compose ${machine.compose?.version}, buildx ${machine.buildx?.version}`
  if (!found.some(({ severity }) => severity === 'error'))
    found.push(
      finding(
        'engine',
        'info',
        `${versions}, cgroup v${info.CgroupVersion ?? '?'}, ${info.Driver}`,
      ),
    )
  return found
}

/** Limits that `up` lowers, since the engine has fewer CPUs. */
export function judgeCpus(all: ComposeConfig | undefined, { NCPU }: EngineInfo): Finding[] {
  const names = all && NCPU ? Object.keys(lowerCpuLimits(all, NCPU)) : []
  if (!all || !names.length) return []
  const most = Math.max(...names.map(name => Number(all.services[name]?.cpus)))
  const words = `the engine has ${NCPU} CPU${NCPU === 1 ? '' : 's'}, ${most} are wanted: make up lowers the limit of ${names.join(', ')}`
  return [finding('machine', 'info', words)]
}

/** The command that gives the machine what it lacks. */
function repairCommand(machine: Machine): string {
  try {
    planInstall(machine)
    return 'make bootstrap'
  } catch (error) {
    if (error instanceof Failure && error.next) return error.next
    throw error
  }
}

interface Resources {
  /**
   * The disks on which the engine keeps its data, and the bytes free there; those that cannot be
   * seen from here are left out.
   */
  disks: { folder: string; free: number }[]
  memory: number
}

export async function readResources(info: EngineInfo): Promise<Resources> {
  const config = await readFile('/etc/containerd/config.toml', 'utf8').catch(() => '')
  const seen = await Promise.all(
    engineDataFolders(info, config).map(async folder => ({
      folder,
      space: await statfs(folder).catch(() => undefined),
      disk: await stat(folder).catch(() => undefined),
    })),
  )
  const disks = seen.flatMap(({ folder, space, disk }, i) => {
    const first = seen.findIndex(other => other.disk?.dev === disk?.dev) === i
    return space && disk && first ? [{ folder, free: space.bavail * space.bsize }] : []
  })
  return { disks, memory: info.MemTotal || totalmem() }
}

/**
 * Where an engine keeps its data. Its images are containerd's when it uses containerd's store, and
 * a containerd of the system's own keeps them elsewhere.
 */
export function engineDataFolders(
  { DockerRootDir = '/var/lib/docker', DriverStatus, Containerd }: EngineInfo,
  config: string,
): string[] {
  const snapshotter = DriverStatus?.some(([, value]) =>
    value?.startsWith('io.containerd.snapshotter'),
  )
  const own = Containerd?.Address?.includes('/docker/')
  const root = /^root\s*=\s*["']([^"']+)["']/m.exec(config)?.[1] ?? '/var/lib/containerd'
  return [DockerRootDir, ...(snapshotter && !own ? [root] : [])]
}

/**
 * `reserved`: bytes of memory that the services reserve; 0 for a demo's stand-ins, which need little
 * of what the real applications do.
 */
export function judgeResources({ disks, memory }: Resources, reserved: number): Finding[] {
  const size = (bytes: number) => `${(bytes / GB).toFixed(1)} GB`
  const found = disks.flatMap(({ folder, free }) => {
    const words = `${size(free)} free on the disk of ${folder}; ${size(sizes.diskWarning)} are needed`
    const next = 'docker buildx prune --force && docker image prune --force'
    return free < sizes.diskWarning
      ? [finding('machine', free < sizes.diskError ? 'error' : 'warning', words, next)]
      : []
  })
  if (memory < reserved) {
    const words = `${size(memory)} of memory; the services reserve ${size(reserved)} (docs/requirements.md)`
    found.push(
      finding(
        'machine',
        'warning',
        words,
        'make up APPS="<folder> traefik"   (fewer applications)',
      ),
    )
  }
  return found
}

/** The command that shows what holds a port. */
function portHolderCommand(port: TakenPort['port'], by: string): string {
  if (by.startsWith('container ')) return `docker ps --filter publish=${port}`
  const [, pid] = /\(pid (\d+)\)/.exec(by) ?? []
  return pid ? `ps -fp ${pid}` : `sudo ss -ltnp 'sport = :${port}'`
}

export const judgePorts = (taken: TakenPort[]): Finding[] =>
  taken.map(({ service, port, by }) => {
    const words = `port ${port}, which ${service} needs, is used by ${by || 'another process'}`
    return finding(
      'machine',
      'error',
      words,
      `${portHolderCommand(port, by)}   (then stop it, or set another port in the env files)`,
    )
  })
