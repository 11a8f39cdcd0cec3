// Puts a backup's data beside what is there, verifies it there, and only then lets it take its place.
import { join } from 'node:path'
import { exit, Failure } from '../errors.ts'
import { formatMegabytes, say, step, warn } from '../report.ts'
import { readScratchText, requireSameTables, restoreDatabase } from './database.ts'
import { openStored } from './encryption.ts'
import type { RestoreEngine, RestorePlace } from './engine.ts'
import type { ScratchFile } from './helper.ts'
import type { BackupManifest } from './manifest.ts'
import type { MaskByDatabase } from './mask/rules.ts'
import { maskDatabase } from './mask/run.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from './plan.ts'
import { refuseOtherRestore, type EarlierRestore } from './restore/earlier.ts'
import { refuseOtherServer } from './restore/ready.ts'
import { finishDatabase, readDatabaseState, readVolumeState, stepVolume } from './swapping.ts'
import { parseTables } from './tables.ts'

export interface RestoreRequest {
  /** Its databases run. */
  engine: RestoreEngine
  plans: PlannedApplication[]
  folder: string
  manifest: BackupManifest
  identities: string[]
  /** The command that drops what an earlier restore has kept. */
  dropCommand: string
  earlier?: EarlierRestore
  /** How people are taken out of it, by database; undefined: they stay. */
  mask?: MaskByDatabase | undefined
}

/** A restore that has put all in its place and waits for its end. */
export interface SwappedRestore {
  finish: () => Promise<void>
}

/**
 * Restores databases and volumes beside those that are there, stops what uses them, and swaps. Out:
 * how to end it, once the stack runs.
 */
export async function restoreData(request: RestoreRequest): Promise<SwappedRestore> {
  const { plans, engine, manifest } = request
  const databases = plans.flatMap(one => one.databases)
  const volumes = await listRestoredVolumes(request)

  const states = await step('Look at what is there', async () => {
    for (const one of databases) await refuseOtherServer(savedOf(manifest, one), engine.ask(one))
    return [
      await Promise.all(databases.map(one => readDatabaseState(one, engine.ask(one)))),
      await Promise.all(volumes.map(async one => readVolumeState(await engine.atVolume(one), one))),
    ] as const
  })
  refuseOtherRestore(states.flat(), manifest.name, request.dropCommand, request.earlier)
  await requireRoom(request, databases, volumes)

  const open = databases.filter((_, i) => !states[0][i]?.swapped)
  for (const one of open) await restoreBeside(request, one)
  for (const one of volumes) await prepareVolume(request, one)

  try {
    await step('Stop what uses them', () => engine.stopServices(plans, manifest.name))
    for (const one of open)
      await step(`Swap ${one.database}`, () => engine.swapDatabase(one, manifest.name))
    for (const one of volumes)
      await step(`Swap ${one.key}`, async () =>
        stepVolume(await engine.atVolume(one), 'swap', one, manifest.name),
      )
  } catch (error) {
    throw error instanceof Failure ? stoppedFailure(error) : error
  }
  return {
    finish: async () => {
      for (const one of databases) await finishDatabase(one, engine.ask(one))
      for (const one of volumes)
        await stepVolume(await engine.atVolume(one), 'finish', one, manifest.name)
    },
  }
}

/** A failure after the applications were stopped. */
const stoppedFailure = ({ what, why, evidence }: Failure): Failure =>
  new Failure(exit.broken, what, why, {
    evidence,
    next: 'the same command again: it goes on here',
    serving:
      'the applications are stopped; no data is lost: what is not swapped yet is as it was, the rest is kept beside',
  })

const savedOf = ({ databases }: BackupManifest, { database }: PlannedDatabase) =>
  databases.find(one => one.database === database)!

/** The volumes with files, made where they are not there, and those that are to be emptied. */
async function listRestoredVolumes({ engine, plans }: RestoreRequest): Promise<PlannedVolume[]> {
  const files = plans.flatMap(one => one.files)
  for (const one of files) if (!(await engine.hasVolume(one))) await engine.createVolume(one)
  const emptied: PlannedVolume[] = []
  for (const one of plans.flatMap(({ leftOut }) => leftOut.filter(({ emptied }) => emptied)))
    // an empty one gets its owner from the image that is the first to mount it: it stays untouched
    if (
      (await engine.hasVolume(one)) &&
      !(await readVolumeState(await engine.atVolume(one), one)).empty
    )
      emptied.push(one)
  return [...files, ...emptied]
}

/** The files of the backup that belong to a database or a volume. */
const filesOf = ({ files }: BackupManifest, name: string) =>
  files.filter(file => file.name.startsWith(`${name}/`))

async function requireRoom(
  { engine, manifest }: RestoreRequest,
  databases: PlannedDatabase[],
  volumes: PlannedVolume[],
): Promise<void> {
  const names = [...databases.map(({ database }) => database), ...volumes.map(({ key }) => key)]
  const copied = names.flatMap(name => filesOf(manifest, name))
  const restored = [
    ...databases.map(one => savedOf(manifest, one).bytes),
    ...volumes.map(({ key }) => manifest.volumes.find(one => one.volume === key)?.bytes ?? 0),
  ]
  const need = [...copied.map(({ bytes }) => bytes), ...restored].reduce((a, b) => a + b, 0)
  const [database] = databases
  const place = database ? await engine.atDatabase(database) : await engine.atVolume(volumes[0]!)
  const free = await place.measureFreeSpace()
  if (free > need) return
  throw new Failure(
    exit.refused,
    'Ask for room',
    `the engine has ${formatMegabytes(free)} free, and this needs ${formatMegabytes(need)}: what is there is kept`,
    { next: 'make room on the disk of the engine (docker system df), then the same command again' },
  )
}

/** Copies what belongs to a database or a volume into the engine; it must arrive as it was there once. */
async function copyToEngine(
  { folder, manifest, identities }: RestoreRequest,
  place: RestorePlace,
  name: string,
): Promise<ScratchFile[]> {
  const copied: ScratchFile[] = []
  for (const { name: file, stored, sha256, bytes } of filesOf(manifest, name)) {
    const what = `Copy ${file}`
    const written = await place
      .write(file, bytes, () => openStored(join(folder, stored.path), identities))
      .catch((error: Error) => {
        throw error instanceof Failure ? error : new Failure(exit.rolledBack, what, error.message)
      })
    if (written.sha256 !== sha256)
      throw new Failure(exit.rolledBack, what, 'other bytes arrived than were saved', {
        next: 'the same command again; nothing has been changed',
      })
    copied.push(written)
  }
  return copied
}

async function restoreBeside(request: RestoreRequest, planned: PlannedDatabase): Promise<void> {
  const { database } = planned
  const what = `Restore ${database} beside the one that is there`
  await step(what, async () => {
    const beside = await request.engine.atDatabase(planned)
    const copied = await copyToEngine(request, beside, database)
    const counted = copied.find(({ name }) => name === `${database}/tables`)!
    const dumped = parseTables(await readScratchText(beside, counted))
    const rules = request.mask?.get(database)
    const restored = await restoreDatabase(beside, what, planned, Boolean(rules))
    requireSameTables(what, dumped, restored)
    const rows = restored.reduce((sum, one) => sum + one.rows, 0)
    say(`  ${database}: ${restored.length} tables with ${rows} rows, as they were saved`)
    if (rules) await maskDatabase(beside, planned, rules)
  })
}

async function prepareVolume(request: RestoreRequest, volume: PlannedVolume): Promise<void> {
  const { engine, manifest } = request
  const emptied = !filesOf(manifest, volume.key).length
  if (emptied) warn(`${volume.key} will be empty: what is in it is kept beside`)
  await step(
    emptied ? `Make room in ${volume.key}` : `Unpack ${volume.key} beside what is there`,
    async () => {
      const place = await engine.atVolume(volume)
      await copyToEngine(request, place, volume.key)
      await stepVolume(place, 'prepare', volume, manifest.name)
    },
  )
}
