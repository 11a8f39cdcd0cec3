// Takes what a backup consists of, application by application: the database first and its files
// after, so that no row names a file that is not there yet. Each is stored when it is proven.
import { join } from 'node:path'
import { readToolkitVersion } from '../cli.ts'
import { exit, Failure } from '../errors.ts'
import { say, step, warn } from '../report.ts'
import { loadAppModules } from '../smoke/app-modules.ts'
import type { SmokeContext } from '../smoke/checks.ts'
import { createCutFailure, dumpDatabase, proveDump, readScratchText } from './database.ts'
import { storeBytes } from './encryption.ts'
import type { BackupEngine, BackupPlace, SavedSetting } from './engine.ts'
import { storeKeyProof } from './health/key-proof.ts'
import { parseMeasured, type ScratchFile } from './helper.ts'
import type { BackupManifest, SavedDatabase, SavedVolume, StoredFile } from './manifest.ts'
import { findUnlikeFiles, listNamedFiles, parseArchived, type NamedFile } from './named.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from './plan.ts'
import { sumRows } from './tables.ts'

export interface SaveRequest {
  engine: BackupEngine
  plans: PlannedApplication[]
  /** Where the files go. */
  folder: string
  name: string
  recipients: string[]
  /** Files that rows name may be missing. */
  acceptMissing: boolean
}

/** Saves all that is planned; the manifest is yet to be written. */
export async function saveApplications(request: SaveRequest): Promise<BackupManifest> {
  const { engine, plans, name, recipients } = request
  const created = new Date().toISOString()
  const files: StoredFile[] = []
  const [databases, volumes]: [SavedDatabase[], SavedVolume[]] = [[], []]
  for (const plan of plans) {
    const named: NamedFile[] = []
    for (const one of plan.databases)
      databases.push(await saveDatabase(request, plan, one, files, named))
    for (const one of plan.files) volumes.push(await saveVolume(request, plan, one, files, named))
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
  { folder, named: rule }: PlannedApplication,
  planned: PlannedDatabase,
  files: StoredFile[],
  named: NamedFile[],
): Promise<SavedDatabase> {
  const { service, database } = planned
  return request.engine.withDatabase(planned, async place => {
    const dumped = await step(`Dump ${database}`, () => dumpDatabase(place, planned))
    const { facts, tables } = dumped
    const provenMs = await step(`Prove the dump of ${database}`, () =>
      proveDump(place, planned, dumped, async (server, name) => {
        const what = `List the files that ${database} names`
        if (rule) named.push(...(await listNamedFiles(server, what, rule, database, name)))
      }),
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
  plan: PlannedApplication,
  volume: PlannedVolume,
  files: StoredFile[],
  named: NamedFile[],
): Promise<SavedVolume> {
  const { key } = volume
  const own = plan.named?.volume === key && named.length ? named : []
  const env: Record<string, string> = { VOLUME: key, ...(own.length ? { NAMED: 'yes' } : {}) }
  const what = `Archive ${key}`
  return request.engine.withVolume(volume, async place => {
    const [tar, list, ...facts] = (await step(what, async () =>
      parseMeasured(what, await place.run(what, ['archive.sh'], env)),
    )) as [ScratchFile, ScratchFile, ...ScratchFile[]]
    const [sizes = '', sums = ''] = await Promise.all(facts.map(one => readScratchText(place, one)))
    if (own.length)
      await step(`Hold ${key} against the ${own.length} rows that name its files`, () =>
        requireNamedFiles(request, plan, own, parseArchived(sizes, sums)),
      )
    const names = (await readScratchText(place, list)).split('\n').filter(Boolean)
    await step(`Store ${key}`, () => storeFiles(request, place, [tar, list], files))
    return { application: plan.folder, volume: key, files: names.length, bytes: tar.bytes }
  })
}

/**
 * Throws Failure (5) that names the files which rows name and the archive does not have. What somebody
 * has removed since the dump no row names any more.
 */
async function requireNamedFiles(
  { engine, acceptMissing }: SaveRequest,
  { databases, named: rule }: PlannedApplication,
  named: NamedFile[],
  archived: Map<string, NamedFile>,
): Promise<void> {
  const unlike = findUnlikeFiles(named, archived)
  const [planned] = databases
  if (!unlike.size || !rule || !planned) return
  const { database } = planned
  const what = `Look for the files that ${database} names`
  const now = await engine.withDatabase(planned, place =>
    listNamedFiles(place, what, rule, database, database),
  )
  const lost = now.flatMap(({ path }) => unlike.get(path) ?? [])
  if (!lost.length) return
  const why = `${lost.length} of ${named.length} are not in ${rule.volume} as they should be`
  if (acceptMissing) return warn(`${what}: ${why}`)
  throw new Failure(exit.rolledBack, what, why, {
    evidence: lost.slice(0, 10).join('\n'),
    next: 'bring them back, or the same command with --accept-missing-files: they are lost already',
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
