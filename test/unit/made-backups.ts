// Backups in a folder, without an engine: a manifest and one stored file.
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { storeBytes } from '../../scripts/lib/backup/encryption.ts'
import { storeKeyProof } from '../../scripts/lib/backup/health/key-proof.ts'
import {
  nameBackup,
  writeManifest,
  type BackupManifest,
} from '../../scripts/lib/backup/manifest.ts'

/** Of this process alone: the lock on a project's backups is the machine's. */
export const project = `kgc-test-${process.pid}`
process.env.KGC_PROJECT = project

export const hourMs = 3_600_000
export const dayMs = 24 * hourMs

export interface MadeBackup {
  name: string
  folder: string
  manifest: BackupManifest
}

/** Makes a good backup of a time, with these changes; `recipients`: encrypted to them. */
export async function makeBackup(
  to: string,
  project: string,
  at: number | Date,
  { applications = ['shop'], recipients = [], ...changes }: Partial<BackupManifest> = {},
): Promise<MadeBackup> {
  const time = new Date(at)
  const name = nameBackup(project, time)
  const folder = join(to, name)
  const bytes = Readable.from([Buffer.from('all rows of the shop')])
  const path = 'shop/dump'
  const { plain, stored } = await storeBytes(bytes, join(folder, path), recipients)
  const database = { database: 'shop', application: 'shop', rows: 4, provenMs: 1500 }
  const manifest: BackupManifest = {
    format: 1,
    ...{ name, created: time.toISOString(), project, suffix: '', toolkit: 'test' },
    ...{ recipients, applications, databases: [database as BackupManifest['databases'][0]] },
    ...{ volumes: [], leftOut: [], images: {}, schemaVersions: {} },
    files: [
      { ...plain, name: path, stored: { ...stored, path } },
      ...(await storeKeyProof(folder, recipients)),
    ],
    ...changes,
  }
  await writeManifest(folder, manifest)
  return { name, folder, manifest }
}
