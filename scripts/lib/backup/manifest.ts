// What a backup says of itself. Its manifest is written last: a folder without one is no backup.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exit, Failure } from '../errors.ts'
import { measureFile, syncPath, type Measured } from './encryption.ts'

export const manifestName = 'manifest.json'

/** A file of a backup: as it was, and as it is stored. */
export interface StoredFile extends Measured {
  /** `APP/dump`, `env/infra/docker/.env`. */
  name: string
  stored: Measured & { path: string }
}

export interface DatabaseFacts {
  server: string
  encoding: string
  provider: string
  locale: string
  collationVersion: string
  libc: string
  /** On the disk of the server. */
  bytes: number
  extensions: { name: string; version: string; schema: string }[]
  settings: { role: string | null; name: string; value: string }[]
  /** Of a server whose roles and order of texts were not this stack's: a restore gives it those here. */
  foreign?: boolean
}

export interface SavedDatabase extends DatabaseFacts {
  application: string
  service: string
  database: string
  tables: number
  rows: number
  /** What the restore into a server of its own took, ms. */
  provenMs: number
}

export interface SavedVolume {
  application: string
  volume: string
  files: number
  bytes: number
}

/** A volume that is not in a backup, or something else that belongs to its stack. */
export interface LeftOut {
  application: string
  volume: string
  emptied: boolean
  reason: string
}

export interface SavedImage {
  image: string
  id: string
  digests: string[]
}

export interface BackupManifest {
  format: 1
  name: string
  /** When its first snapshot was taken. */
  created: string
  project: string
  /** What it ran on; Compose where it does not say. */
  engine?: 'kubernetes'
  /** Of the env files: '' or '.demo'. */
  suffix: string
  toolkit: string
  /** The age recipients that it is encrypted to; none: it is not. */
  recipients: string[]
  applications: string[]
  databases: SavedDatabase[]
  volumes: SavedVolume[]
  leftOut: LeftOut[]
  /** By service. */
  images: Record<string, SavedImage>
  /** By application. */
  schemaVersions: Record<string, string>
  files: StoredFile[]
}

/** A folder that holds a backup, or what is left of one. */
export interface FoundBackup {
  folder: string
  /** undefined: it has none, or not a whole one. */
  manifest: BackupManifest | undefined
}

const checksumOf = (manifest: object): string =>
  createHash('sha256').update(JSON.stringify(manifest)).digest('hex')

/** Writes the manifest, after all that it names is on the disk. */
export async function writeManifest(folder: string, manifest: BackupManifest): Promise<void> {
  const path = join(folder, manifestName)
  const text = JSON.stringify({ ...manifest, checksum: checksumOf(manifest) }, undefined, 2)
  await writeFile(`${path}.new`, `${text}\n`, { mode: 0o600 })
  await syncPath(`${path}.new`)
  await rename(`${path}.new`, path)
  await syncPath(folder)
}

/** A backup's manifest; undefined when there is none, or it is not what was written. */
export function readManifest(folder: string): BackupManifest | undefined {
  try {
    return parseManifest(readFileSync(join(folder, manifestName), 'utf8'))
  } catch {
    return undefined
  }
}

/** The same of a manifest's text. Throws where it is no JSON. */
export function parseManifest(text: string): BackupManifest | undefined {
  const { checksum, ...rest } = JSON.parse(text) as BackupManifest & { checksum: string }
  return checksum === checksumOf(rest) && rest.format === 1 ? rest : undefined
}

/** The backups in a folder, the newest first, those that are not whole among them. */
export function findBackups(to: string): FoundBackup[] {
  if (!existsSync(to)) return []
  return readdirSync(to, { withFileTypes: true })
    .filter(entry => entry.isDirectory() && /-\d{8}T\d{6}Z$/.test(entry.name))
    .map(({ name }) => join(to, name))
    .map(folder => ({ folder, manifest: readManifest(folder) }))
    .sort((a, b) => timeOf(b.folder).localeCompare(timeOf(a.folder)))
}

const timeOf = (folder: string): string => folder.slice(-16)

/** The name of a backup that is begun now. */
export const nameBackup = (project: string, now: Date): string =>
  `${project}-${now.toISOString().replace(/[-:]|\.\d+/g, '')}`

/** ms that a manifest may lie in the future: clocks differ. */
export const clockToleranceMs = 10 * 60_000

/** The manifest of a whole backup in a folder. Throws Failure (refused) for any other. */
export function requireManifest(folder: string, now = Date.now()): BackupManifest {
  const what = `Read ${folder}`
  const next = 'npx zx scripts/backup.ts status --to FOLDER   (lists those that are whole)'
  const refuse = (why: string) => new Failure(exit.refused, what, why, { next })
  if (!existsSync(folder)) throw refuse('it is not there')
  if (!existsSync(join(folder, manifestName))) {
    const whole = listWhole(folder)
    if (whole.length)
      throw new Failure(exit.refused, what, 'it is a folder with backups, and no backup itself', {
        next: `the same command with one of them: ${whole.slice(0, 3).join(', ')}`,
      })
    throw refuse(`it has no ${manifestName}: the backup did not come to its end`)
  }
  const manifest = readManifest(folder)
  if (!manifest) throw refuse(`its ${manifestName} is damaged, or of a newer release`)
  if (!(Date.parse(manifest.created) < now + clockToleranceMs))
    throw refuse(`it is dated ${manifest.created}, which is in the future: whose clock is wrong?`)
  return manifest
}

/** The folders of the whole backups in a folder, the newest first; none where nobody can look. */
function listWhole(to: string): string[] {
  try {
    return findBackups(to).flatMap(({ folder, manifest }) => (manifest ? folder : []))
  } catch {
    return []
  }
}

/** Databases and volumes of which there is no file, or one of nothing: its checksum is right, too. */
function findUnlisted({ databases, volumes, files }: BackupManifest): string[] {
  const names = [
    ...databases.map(({ database }) => `${database}/dump`),
    ...volumes.map(({ volume }) => `${volume}/tar`),
  ]
  return names
    .filter(name => !files.some(one => one.name === name && one.bytes && one.stored.bytes))
    .map(name => `${name} is empty, or not among its files`)
}

/** What is wrong with the stored files, each by name; nothing where all are as they were written. */
export async function findDamage(folder: string, manifest: BackupManifest): Promise<string[]> {
  const { files } = manifest
  const found = findUnlisted(manifest)
  for (const { stored } of files) {
    const path = join(folder, stored.path)
    const bytes = statSync(path, { throwIfNoEntry: false })?.size
    if (bytes === undefined) found.push(`${stored.path} is missing`)
    else if (bytes !== stored.bytes)
      found.push(`${stored.path} has ${bytes} bytes of ${stored.bytes}`)
    else if ((await measureFile(path)).sha256 !== stored.sha256)
      found.push(`${stored.path} has another checksum than when it was written`)
  }
  return found
}

/** Throws Failure (refused) that names each file that is not as it was written. */
export async function requireWhole(folder: string, manifest: BackupManifest): Promise<void> {
  const damage = await findDamage(folder, manifest)
  if (damage.length)
    throw new Failure(exit.refused, `Check ${manifest.name}`, `${damage[0]}`, {
      evidence: damage.join('\n'),
      next: 'take another backup: npx zx scripts/backup.ts status --to FOLDER lists them',
    })
}
