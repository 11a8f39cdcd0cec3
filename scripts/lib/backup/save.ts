// Takes what a backup consists of, application by application: the database first and its files
// after, so that no row names a file that is not there yet. Each is stored when it is proven.
import { join } from 'node:path'
import { readToolkitVersion } from '../cli.ts'
import { say, step } from '../report.ts'
import { loadAppModules, type SmokeContext } from '../smoke/checks.ts'
import { createCutFailure, dumpDatabase, proveDump, readScratchText } from './database.ts'
import { storeBytes } from './encryption.ts'
import type { BackupEngine, BackupPlace, SavedSetting } from './engine.ts'
import { storeKeyProof } from './health/key-proof.ts'
import { parseMeasured, type ScratchFile } from './helper.ts'
import type { BackupManifest, SavedDatabase, SavedVolume, StoredFile } from './manifest.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from './plan.ts'
import { sumRows } from './tables.ts'

export interface SaveRequest {
  engine: BackupEngine
  plans: PlannedApplication[]
  /** Where the files go. */
  folder: string
  name: string
  recipients: string[]
}

/** Saves all that is planned; the manifest is yet to be written. */
export async function saveApplications(request: SaveRequest): Promise<BackupManifest> {
  const { engine, plans, name, recipients } = request
  const created = new Date().toISOString()
  const files: StoredFile[] = []
  const [databases, volumes]: [SavedDatabase[], SavedVolume[]] = [[], []]
  for (const plan of plans) {
    for (const one of plan.databases) databases.push(await saveDatabase(request, plan, one, files))
    for (const one of plan.files) volumes.push(await saveVolume(request, plan, one, files))
  }
  const { settings, leftOut } = await engine.listSettings()
  await step('Store settings and secrets', () => saveSettings(request, settings, files))
  files.push(...(await storeKeyProof(request.folder, recipients)))
  return {
    format: 1,
    ...{ name, created, project: engine.project, suffix: engine.suffix, recipients },
    ...(engine.name ? { engine: engine.name } : {}),
    toolkit: readToolkitVersion(),
    applications: plans.map(({ folder }) => folder),
    ...{ databases, volumes },
    leftOut: [
      ...plans.flatMap(({ folder, leftOut }) =>
        leftOut.map(({ key, emptied, reason }) => ({
          ...{ application: folder, volume: key, emptied, reason },
        })),
      ),
      ...leftOut,
    ],
    images: await engine.describeImages(plans),
    schemaVersions: await readSchemaVersions(request),
    files,
  }
}

function saveDatabase(
  request: SaveRequest,
  { folder }: PlannedApplication,
  planned: PlannedDatabase,
  files: StoredFile[],
): Promise<SavedDatabase> {
  const { service, database } = planned
  return request.engine.withDatabase(planned, async place => {
    const dumped = await step(`Dump ${database}`, () => dumpDatabase(place, planned))
    const { facts, tables } = dumped
    const provenMs = await step(`Prove the dump of ${database}`, () =>
      proveDump(place, planned, dumped),
    )
    await step(`Store the dump of ${database}`, () =>
      storeFiles(request, place, dumped.files, files),
    )
    const [count, rows] = [tables.length, sumRows(tables)]
    say(`  ${database}: ${count} tables with ${rows} rows, restored and compared`)
    return { application: folder, service, database, tables: count, rows, provenMs, ...facts }
  })
}

function saveVolume(
  request: SaveRequest,
  { folder }: PlannedApplication,
  volume: PlannedVolume,
  files: StoredFile[],
): Promise<SavedVolume> {
  const { key } = volume
  const what = `Archive ${key}`
  return request.engine.withVolume(volume, async place => {
    const [tar, list] = (await step(what, async () =>
      parseMeasured(what, await place.run(what, ['archive.sh'], { VOLUME: key })),
    )) as [ScratchFile, ScratchFile]
    const names = (await readScratchText(place, list)).split('\n').filter(Boolean)
    await step(`Store ${key}`, () => storeFiles(request, place, [tar, list], files))
    return { application: folder, volume: key, files: names.length, bytes: tar.bytes }
  })
}

const storedPath = (name: string, { recipients }: SaveRequest) =>
  recipients.length ? `${name}.age` : name

/** Brings files of the scratch volume here. What arrives must be what was measured there. */
async function storeFiles(
  request: SaveRequest,
  place: BackupPlace,
  made: ScratchFile[],
  files: StoredFile[],
): Promise<void> {
  for (const file of made) {
    const path = storedPath(file.name, request)
    const { plain, stored } = await place.read(file.name, bytes =>
      storeBytes(bytes, join(request.folder, path), request.recipients),
    )
    if (plain.sha256 !== file.sha256) throw createCutFailure(file, plain.bytes)
    files.push({ ...plain, name: file.name, stored: { ...stored, path } })
  }
}

async function saveSettings(
  request: SaveRequest,
  settings: SavedSetting[],
  files: StoredFile[],
): Promise<void> {
  for (const { name, read } of settings) {
    const path = storedPath(name, request)
    const { plain, stored } = await storeBytes(
      read(),
      join(request.folder, path),
      request.recipients,
    )
    files.push({ ...plain, name, stored: { ...stored, path } })
  }
}

/** How far each database is migrated, as its application's folder says; '?' where nobody could say. */
async function readSchemaVersions({ engine, plans }: SaveRequest): Promise<Record<string, string>> {
  const target = await engine.smokeTarget()
  const folders = plans.filter(({ databases }) => databases.length).map(({ folder }) => folder)
  const modules = await loadAppModules<{
    schemaVersion: (context: SmokeContext) => Promise<string>
  }>('schema-version.ts')
  const asked = modules
    .filter(({ folder }) => folders.includes(folder))
    .map(async ({ folder, schemaVersion }) => {
      const answer = await schemaVersion(target.context(folder)).catch(() => '?')
      return [folder, answer || '?'] as const
    })
  return Object.fromEntries(await Promise.all(asked))
}
