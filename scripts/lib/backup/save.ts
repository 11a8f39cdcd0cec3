// Takes what a backup consists of, application by application: the database first and its files
// after, so that no row names a file that is not there yet. Each is stored when it is proven.
import { createReadStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { readToolkitVersion } from '../cli.ts'
import type { ComposeConfig, Stack } from '../compose/stack.ts'
import type { Container } from '../compose/containers.ts'
import { findEnvFiles, listExtraFiles } from '../env/files.ts'
import { say, step } from '../report.ts'
import { root } from '../repository.ts'
import { run } from '../run.ts'
import { loadAppModules, type SmokeContext } from '../smoke/checks.ts'
import { createComposeTarget } from '../smoke/compose-target.ts'
import { createCutFailure, dumpDatabase, proveDump, readScratchText } from './database.ts'
import { storeBytes } from './encryption.ts'
import { parseMeasured, readScratch, runHelper, type ScratchFile } from './helper.ts'
import type {
  BackupManifest,
  SavedDatabase,
  SavedImage,
  SavedVolume,
  StoredFile,
} from './manifest.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from './plan.ts'
import { sumRows } from './tables.ts'
import type { Workplace } from './workplace.ts'

export interface SaveRequest {
  stack: Stack
  all: ComposeConfig
  /** The containers of the stack. */
  seen: Map<string, Container>
  plans: PlannedApplication[]
  place: Workplace
  /** Where the files go. */
  folder: string
  name: string
  recipients: string[]
}

/** Saves all that is planned; the manifest is yet to be written. */
export async function saveApplications(request: SaveRequest): Promise<BackupManifest> {
  const { stack, plans, name, recipients } = request
  const created = new Date().toISOString()
  const files: StoredFile[] = []
  const [databases, volumes]: [SavedDatabase[], SavedVolume[]] = [[], []]
  for (const plan of plans) {
    for (const one of plan.databases) databases.push(await saveDatabase(request, plan, one, files))
    for (const one of plan.files) volumes.push(await saveVolume(request, plan, one, files))
  }
  await step('Store the env files', () => saveEnvFiles(request, files))
  return {
    format: 1,
    ...{ name, created, project: stack.project, suffix: stack.suffix, recipients },
    toolkit: readToolkitVersion(),
    applications: plans.map(({ folder }) => folder),
    ...{ databases, volumes },
    leftOut: plans.flatMap(({ folder, leftOut }) =>
      leftOut.map(({ key, emptied, reason }) => ({
        application: folder,
        volume: key,
        emptied,
        reason,
      })),
    ),
    images: await describeImages(request),
    schemaVersions: await readSchemaVersions(request),
    files,
  }
}

async function saveDatabase(
  request: SaveRequest,
  { folder }: PlannedApplication,
  planned: PlannedDatabase,
  files: StoredFile[],
): Promise<SavedDatabase> {
  const { place, all, seen } = request
  const { service, database } = planned
  const server = seen.get(service)!
  const dumped = await step(`Dump ${database}`, () => dumpDatabase(place, planned, server))
  const { facts, tables } = dumped
  const provenMs = await step(`Prove the dump of ${database}`, () =>
    proveDump(place, all, planned, server.Image, dumped),
  )
  await step(`Store the dump of ${database}`, () => storeFiles(request, dumped.files, files))
  const rows = sumRows(tables)
  say(`  ${database}: ${tables.length} tables with ${rows} rows, restored and compared`)
  return { application: folder, service, database, tables: tables.length, rows, provenMs, ...facts }
}

async function saveVolume(
  request: SaveRequest,
  { folder }: PlannedApplication,
  { key, name }: PlannedVolume,
  files: StoredFile[],
): Promise<SavedVolume> {
  const what = `Archive ${key}`
  const [tar, list] = (await step(what, async () =>
    parseMeasured(
      what,
      await runHelper(request.place, what, {
        script: ['archive.sh'],
        volume: `${name}:ro`,
        env: { VOLUME: key },
      }),
    ),
  )) as [ScratchFile, ScratchFile]
  const names = (await readScratchText(request.place, list)).split('\n').filter(Boolean)
  await step(`Store ${key}`, () => storeFiles(request, [tar, list], files))
  return { application: folder, volume: key, files: names.length, bytes: tar.bytes }
}

const storedPath = (name: string, { recipients }: SaveRequest) =>
  recipients.length ? `${name}.age` : name

/** Brings files of the scratch volume here. What arrives must be what was measured there. */
async function storeFiles(
  request: SaveRequest,
  made: ScratchFile[],
  files: StoredFile[],
): Promise<void> {
  for (const file of made) {
    const path = storedPath(file.name, request)
    const { plain, stored } = await readScratch(request.place, file.name, bytes =>
      storeBytes(bytes, join(request.folder, path), request.recipients),
    )
    if (plain.sha256 !== file.sha256) throw createCutFailure(file, plain.bytes)
    files.push({ ...plain, name: file.name, stored: { ...stored, path } })
  }
}

async function saveEnvFiles(request: SaveRequest, files: StoredFile[]): Promise<void> {
  const found = findEnvFiles(root, request.stack.suffix.slice(1))
  const all = [...found.files, ...listExtraFiles(root, found)].filter(({ path }) =>
    existsSync(path),
  )
  for (const { name, path } of all) {
    const file = `env/${name}`
    const target = storedPath(file, request)
    const { plain, stored } = await storeBytes(
      createReadStream(path),
      join(request.folder, target),
      request.recipients,
    )
    files.push({ ...plain, name: file, stored: { ...stored, path: target } })
  }
}

/** The images that run, with the digests that registries know them by. */
async function describeImages({ plans, seen }: SaveRequest): Promise<Record<string, SavedImage>> {
  const services = plans.flatMap(({ services }) => services).filter(name => seen.has(name))
  const described = services.map(async service => {
    const { Image: id, Config } = seen.get(service)!
    const format = '{{json .RepoDigests}}'
    const { stdout } = await run(['docker', 'image', 'inspect', '--format', format, id], {
      nothrow: true,
    })
    const digests = (JSON.parse(stdout.trim() || '[]') ?? []) as string[]
    return [service, { image: Config.Image, id, digests }] as const
  })
  return Object.fromEntries(await Promise.all(described))
}

/** How far each database is migrated, as its application's folder says; '?' where nobody could say. */
async function readSchemaVersions({ stack, plans }: SaveRequest): Promise<Record<string, string>> {
  const target = createComposeTarget(stack.mode)
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
