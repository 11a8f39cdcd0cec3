// Where a backup or a restore works: containers without a network of their own, of an image that the
// stack has anyway, and a scratch volume for what passes between them. All carry a label, so that a
// run that was killed leaves nothing behind the next one.
import { join } from 'node:path'
import { onInterrupt } from '../../interrupt.ts'
import { root } from '../../repository.ts'
import { run } from '../../run.ts'
import { withLock } from '../lock.ts'

/** Where a backup or a restore works. */
export interface Workplace {
  project: string
  /** The scratch volume, /backup in its containers. */
  volume: string
  /** An image of the stack that has sh, tar and sha256sum. */
  image: string
  /** A container that waits for commands: an exec in it takes a fifth of the time of a container. */
  keeper: string
}

/** A container of the workplace. */
export interface Helper {
  /** Its script in this folder, with its words. */
  script: string[]
  image?: string
  /** The container whose network it shares. */
  network?: string
  /** A volume to be mounted at /volume; `:ro` at its end. */
  volume?: string
  env?: Record<string, string>
}

const label = 'hu.kgc.workplace'
export const scriptMounts = ['--volume', `${join(root, 'scripts/lib/backup')}:/kgc:ro`]
/** What reading and writing everybody's files takes. */
const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID']

/** What every container of a workplace is started with. */
export const workplaceOptions = ({
  project,
  volume,
}: Pick<Workplace, 'project' | 'volume'>): string[] => [
  ...['--label', `${label}=${project}`],
  ...['--pull', 'never', '--volume', `${volume}:/backup`, ...scriptMounts],
]

/** The words after `docker run` and how it runs. */
export function helperWords(
  place: Omit<Workplace, 'keeper'>,
  { network, volume, env = {}, ...one }: Helper,
): string[] {
  return [
    ...['--rm', '--init', '--log-driver', 'none'],
    ...['--env', 'TMPDIR=/backup', '--user', '0:0', '--read-only'],
    ...['--network', network ? `container:${network}` : 'none'],
    ...['--cap-drop', 'ALL', ...capabilities.flatMap(name => ['--cap-add', name])],
    ...workplaceOptions(place),
    ...(volume ? ['--volume', volume.replace(/^([^:]+)/, '$1:/volume')] : []),
    ...Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
    ...['--entrypoint', 'sh', one.image ?? place.image, ...one.script],
  ]
}

const lines = async (argv: string[]): Promise<string[]> =>
  (await run(['docker', ...argv], { what: 'Ask the Docker engine' })).stdout
    .split('\n')
    .filter(Boolean)

/** Starts the container that waits; it goes with the workplace. Out: its id. */
async function startKeeper(place: Omit<Workplace, 'keeper'>): Promise<string> {
  const options = helperWords(place, { script: ['-c', 'exec tail -f /dev/null'] })
  const what = 'Start a container to work in'
  return (await run(['docker', 'run', '--detach', ...options], { what })).stdout.trim()
}

/** Removes the containers and the scratch volume of a project's workplace. */
async function removeWorkplace(project: string): Promise<void> {
  const mine = ['--filter', `label=${label}=${project}`]
  const ids = await lines(['ps', '-aq', ...mine])
  if (ids.length) await run(['docker', 'rm', '-fv', ...ids], { nothrow: true })
  const volumes = await lines(['volume', 'ls', '-q', ...mine])
  if (volumes.length) await run(['docker', 'volume', 'rm', ...volumes], { nothrow: true })
}

/**
 * Does `work` in a workplace of its own, which is gone afterwards. What a killed run has left goes
 * first; throws Failure (locked) while another works.
 */
export const withWorkplace = <T>(
  place: Pick<Workplace, 'project' | 'image'>,
  work: (place: Workplace) => Promise<T>,
): Promise<T> => withLock(place.project, () => workIn(place, work))

/** Makes a volume that goes with the project's workplace. */
export const createScratchVolume = (project: string, name: string): Promise<unknown> =>
  run(['docker', 'volume', 'create', '--label', `${label}=${project}`, name], {
    what: 'Make a scratch volume',
  })

async function workIn<T>(
  { project, image }: Pick<Workplace, 'project' | 'image'>,
  work: (place: Workplace) => Promise<T>,
): Promise<T> {
  await removeWorkplace(project)
  const volume = `${project}_backup-scratch`
  const forget = onInterrupt(() => removeWorkplace(project))
  try {
    await createScratchVolume(project, volume)
    const keeper = await startKeeper({ project, image, volume })
    return await work({ project, image, volume, keeper })
  } finally {
    forget()
    await removeWorkplace(project)
  }
}
