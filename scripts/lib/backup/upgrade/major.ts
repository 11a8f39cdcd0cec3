// A database whose data goes into a server of a newer PostgreSQL major: its volume is kept under another
// name while a new one takes its place. A mark, which outlives a reboot, says what an upgrade that did not
// come to its end has to put back.
import type { MajorChange } from '../../compose/volumes/majors.ts'
import { exit, Failure } from '../../errors.ts'
import { step } from '../../report.ts'
import { run } from '../../run.ts'
import type { ImageChange } from '../upgrade.ts'

const markLabel = 'hu.kgc.upgrading'
const keptLabel = 'hu.kgc.before-upgrade'
const markOf = (project: string): string => `${project}_upgrade-underway`
/** From then on the volumes may be gone: what is kept is whole. */
const wholeMarkOf = (project: string): string => `${project}_upgrade-kept`
const keptVolumeOf = (volume: string): string => `${volume}-before-upgrade`

/** What an upgrade has begun: the volumes it keeps, and the images that ran on them. */
interface Underway {
  volumes: string[]
  /** An image that is here, with `cp`. */
  image: string
  changes: ImageChange[]
}

const removeVolume = (name: string) =>
  run(['docker', 'volume', 'rm', '-f', name], { what: `Remove the volume ${name}` })

async function readLabels(volume: string): Promise<Record<string, string> | undefined> {
  const argv = ['docker', 'volume', 'inspect', '--format', '{{json .Labels}}', volume]
  const { code, stdout } = await run(argv, { nothrow: true })
  return code === 0 ? ((JSON.parse(stdout) ?? {}) as Record<string, string>) : undefined
}

async function createVolume(name: string, labels: Record<string, string>): Promise<void> {
  const words = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`])
  await run(['docker', 'volume', 'create', ...words, name], { what: `Make the volume ${name}` })
}

/** Copies a volume that nobody runs on into an empty one, and lets the disk have it. */
const copyVolume = (from: string, to: string, image: string) =>
  run(
    [
      ...['docker', 'run', '--rm', '--pull', 'never', '--network', 'none', '--user', '0:0'],
      ...['--volume', `${from}:/from:ro`, '--volume', `${to}:/to`, '--entrypoint', 'sh', image],
      ...['-c', 'cp -a /from/. /to/ && sync'],
    ],
    { what: `Copy ${from} to ${to}` },
  )

/** Removes the containers of a volume, running or not. */
async function removeUsers(volume: string): Promise<void> {
  const { stdout } = await run(['docker', 'ps', '-aq', '--filter', `volume=${volume}`], {
    what: 'Ask the Docker engine',
  })
  const ids = stdout.split('\n').filter(Boolean)
  if (!ids.length) return
  await run(['docker', 'stop', '--time', '60', ...ids], { what: `Stop who runs on ${volume}` })
  await run(['docker', 'rm', ...ids], { what: 'Remove their containers' })
}

const readUnderway = async (project: string): Promise<Underway | undefined> => {
  const text = (await readLabels(markOf(project)))?.[markLabel]
  return text ? (JSON.parse(Buffer.from(text, 'base64').toString()) as Underway) : undefined
}

/** Throws Failure (refused) while an upgrade has not come to its end: a start would make a new, empty database. */
export async function refuseHalfUpgraded(project: string, mode: string): Promise<void> {
  if (!(await readLabels(markOf(project)))) return
  throw new Failure(
    exit.refused,
    `Start ${project}`,
    'an upgrade to another PostgreSQL major has not come to its end: its old data is kept',
    { next: `npx zx scripts/up.ts ${mode} --upgrade again: it puts that back first` },
  )
}

/** Throws Failure (refused) where the volumes of an earlier upgrade are still kept. */
export async function refuseKeptVolumes(majors: MajorChange[], dropCommand: string): Promise<void> {
  for (const { store } of majors)
    if ((await readLabels(keptVolumeOf(store.volume)))?.[keptLabel])
      throw new Failure(
        exit.refused,
        'Look at what is there',
        `the data from before an earlier upgrade is still kept: ${keptVolumeOf(store.volume)}`,
        { next: dropCommand },
      )
}

/** Stops the databases and moves their volumes away: the next start makes new ones. */
export async function keepVolumes(
  project: string,
  majors: MajorChange[],
  changes: ImageChange[],
): Promise<void> {
  const volumes = majors.map(({ store }) => store.volume)
  const image = majors[0]!.store.image
  const mark = JSON.stringify({ volumes, image, changes } satisfies Underway)
  const own = { 'com.docker.compose.project': project }
  const text = Buffer.from(mark).toString('base64')
  await createVolume(markOf(project), { ...own, [markLabel]: text })
  for (const volume of volumes)
    await step(`Keep ${volume} as ${keptVolumeOf(volume)}`, async () => {
      await removeUsers(volume)
      // one that a killed run has begun
      await removeVolume(keptVolumeOf(volume))
      const labels = { ...(await readLabels(volume)), [keptLabel]: 'yes' }
      await createVolume(keptVolumeOf(volume), labels)
      await copyVolume(volume, keptVolumeOf(volume), image)
    })
  await createVolume(wholeMarkOf(project), own)
  for (const volume of volumes) await removeVolume(volume)
}

/** The upgrade has come to its end; what is kept stays. */
export async function finishMajors(project: string): Promise<void> {
  await removeVolume(wholeMarkOf(project))
  await removeVolume(markOf(project))
}

/**
 * Gives the volumes their old data back, which may be done again. Out: the images that ran on them;
 * undefined where nothing is underway.
 */
export async function putVolumesBack(project: string): Promise<ImageChange[] | undefined> {
  const underway = await readUnderway(project)
  if (!underway) return undefined
  const touched = (await readLabels(wholeMarkOf(project))) ? underway.volumes : []
  for (const volume of touched)
    await step(`Put ${volume} back as it was`, async () => {
      const { [keptLabel]: _, ...labels } = (await readLabels(keptVolumeOf(volume))) ?? {}
      await removeUsers(volume)
      await removeVolume(volume)
      await createVolume(volume, labels)
      await copyVolume(keptVolumeOf(volume), volume, underway.image)
    })
  await removeVolume(`${project}_restore-underway`)
  await finishMajors(project)
  for (const volume of underway.volumes) await removeVolume(keptVolumeOf(volume))
  return underway.changes
}

/** Removes what upgrades have kept of these volumes. */
export async function dropKeptVolumes(volumes: string[]): Promise<void> {
  for (const volume of volumes)
    if (await readLabels(keptVolumeOf(volume))) await removeVolume(keptVolumeOf(volume))
}
