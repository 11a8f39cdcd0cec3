// What the doctor asks and says of a stack's images and volumes. The judges are pure.
import type { ComposeConfig } from '../compose/stack.ts'
import { execInContainer, type Container } from '../compose/containers.ts'
import { chmodCommand, type UnreadableMount } from '../compose/mounts.ts'
import type { VolumeSecretsFit } from '../compose/volumes/check.ts'
import { takeOverCommand } from '../compose/volumes/layout.ts'
import type { DatabaseVolume } from '../compose/volumes/secrets.ts'
import { upCommand, type StackHealth } from './containers.ts'
import { finding, type Finding } from './finding.ts'
import { setOwnerCommand, findOwnerlessImages } from '../images/owner.ts'

/**
 * `silent`: registries that do not answer; `where` the commit of images that have none is chosen. A
 * demo's images are built here and never pulled.
 */
export function judgeImages(
  stack: StackHealth['stack'],
  total: number,
  missing: string[],
  silent: string[],
  started: boolean,
  where = '',
): Finding[] {
  const unset = missing.filter(image => image.endsWith(':unset'))
  const ownerless = findOwnerlessImages(missing)
  const rest = missing.filter(image => !unset.includes(image) && !ownerless.includes(image))
  const whose = ownerless.length
    ? [
        finding(
          'images',
          'warning',
          `the owner of the images is not set: ${ownerless.join(', ')}`,
          setOwnerCommand(),
        ),
      ]
    : []
  const found = unset.length
    ? [
        finding(
          'images',
          'warning',
          `no commit is chosen for ${unset.join(', ')}`,
          `set ${where}, then make env`,
        ),
        ...whose,
      ]
    : whose
  if (!rest.length) return found
  const words = `${rest.length} of ${total} are not on this machine: ${rest.join(', ')}`
  if (stack.suffix)
    return [...found, finding('images', started ? 'error' : 'info', words, `make ${stack.mode}`)]
  if (silent.length)
    return [
      ...found,
      finding(
        'images',
        'error',
        `${words}; no answer from ${silent.join(', ')}`,
        'make demo   (needs no image registry)',
      ),
    ]
  return [
    ...found,
    finding(
      'images',
      started ? 'warning' : 'info',
      `${words}; they will be pulled`,
      upCommand(stack),
    ),
  ]
}

/**
 * Volumes that the files name and that are not there, and the other way round. Silent for a stack
 * that was never started.
 */
export function judgeVolumes({ stack, config, containers, volumes }: StackHealth): Finding[] {
  if (!volumes.length && !containers.size) return []
  const named = Object.values(config.volumes ?? {}).map(({ name }) => name)
  const missing = named.filter(name => !volumes.includes(name))
  const unused = volumes.filter(name => !named.includes(name))
  const remove = `docker volume rm ${unused.join(' ')}   (this deletes its data)`
  return [
    ...(missing.length
      ? [finding('volumes', 'info', `not there yet: ${missing.join(', ')}`, upCommand(stack))]
      : []),
    ...(unused.length
      ? [finding('volumes', 'info', `no longer in the files: ${unused.join(', ')}`, remove)]
      : []),
  ]
}

/** `owners`: other clones that the stack runs from. */
export const judgeOwner = (project: string, owners: string[]): Finding[] =>
  owners.map(folder =>
    finding(
      'containers',
      'error',
      `${project} was started from ${folder}, not from here`,
      `make -C ${folder} doctor`,
    ),
  )

/** What services mount from this machine and cannot read. */
export const judgeMounts = (closed: UnreadableMount[]): Finding[] =>
  [...new Set(closed.map(({ service }) => service))].map(service => {
    const own = closed.filter(one => one.service === service)
    return finding(
      'containers',
      'error',
      `${service} runs as ${own[0]!.user} and cannot read ${own.map(({ path }) => path).join(', ')}`,
      chmodCommand(own),
    )
  })

/** Volumes that were written with other secrets than the env files hold. */
export const judgeStores = (found: VolumeSecretsFit[]): Finding[] =>
  found
    .filter(({ misfits }) => misfits.length)
    .map(({ store, misfits, record }) => {
      const words = `${store.volume} was written with another ${misfits.join(', ')} than the env files hold${record ? ` (last started from ${record.folder})` : ''}`
      return finding('volumes', 'error', words, 'put the old values back into the env files')
    })

/** Volumes that are older than the applications' own roles. */
export const judgeLayouts = (stack: StackHealth['stack'], old: DatabaseVolume[]): Finding[] =>
  old.map(one =>
    finding(
      'volumes',
      'error',
      `${one.volume} is older than the applications' own database roles: it has no role ${one.login}`,
      takeOverCommand(stack, [one]),
    ),
  )

/** A line of `df -P` in a container. */
export interface Filesystem {
  service: string
  device: string
  /** Percent. */
  used: number
}

/** How full the disks under the volumes are, asked in the containers that have them. */
export async function volumeFilesystems(
  all: ComposeConfig,
  seen: Map<string, Container>,
): Promise<Filesystem[]> {
  const asked = [...seen].map(async ([service, { Id, State: state }]) => {
    const targets = (all.services[service]?.volumes ?? [])
      .filter(({ type }) => type === 'volume')
      .map(({ target }) => target)
    if (state.Status !== 'running' || !targets.length) return []
    return parseDf(service, (await execInContainer(Id, ['df', '-P', ...targets])).stdout)
  })
  return (await Promise.all(asked)).flat()
}

export const parseDf = (service: string, text: string): Filesystem[] =>
  [...text.matchAll(/^(\S.*?)\s+\d+\s+\d+\s+-?\d+\s+(\d+)%\s/gm)].map(([, device, used]) => ({
    service,
    device: device!,
    used: Number(used),
  }))

/** One finding for each full disk, however many volumes lie on it. */
export function judgeDisks(all: Filesystem[]): Finding[] {
  const full = all.filter(({ used }) => used > 95)
  return [...new Set(full.map(({ device }) => device))].map(device => {
    const here = full.filter(one => one.device === device)
    const services = [...new Set(here.map(({ service }) => service))]
    const used = Math.max(...here.map(one => one.used))
    return finding(
      'volumes',
      'error',
      `the disk ${device} under the volumes of ${services.join(', ')} is ${used} % full`,
      'docker system df -v',
    )
  })
}
