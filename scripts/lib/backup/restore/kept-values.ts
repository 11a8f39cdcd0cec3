// The values that saved data was written with, such as the keys of encrypted columns: as env files or as
// Secrets, whatever engine the backup is of.
import { parse } from 'dotenv'
import { findEnvFiles } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { root } from '../../repository.ts'
import type { BackupManifest } from '../manifest.ts'
import { readSavedFile } from './open.ts'
import { readSavedEnvFiles } from './ready.ts'

/** By folder of infra/docker, its values by key. */
export type Values = Map<string, Record<string, string>>

/** The values of the Secrets `<folder>-secrets`; kustomize may have put a hash behind that name. */
export function readSecretValues(secrets: Manifest[], folders: string[]): Values {
  const values: Values = new Map()
  for (const folder of folders)
    for (const { metadata, data } of secrets) {
      const own = metadata.name.startsWith(`${folder}-secrets`)
      if (!own || !/^(-[a-z0-9]{10})?$/.test(metadata.name.slice(`${folder}-secrets`.length)))
        continue
      const read = Object.entries((data ?? {}) as Record<string, string>).map(
        ([key, value]) => [key, Buffer.from(value, 'base64').toString()] as const,
      )
      values.set(folder, { ...values.get(folder), ...Object.fromEntries(read) })
    }
  return values
}

/** What a backup's env files and Secrets say. Throws Failure (refused) for one that is not as it was saved. */
export async function readSavedValues(
  folder: string,
  manifest: BackupManifest,
  identities: string[],
): Promise<Values> {
  const secrets = await readSavedSecrets(folder, manifest, identities)
  const values = readSecretValues(secrets, manifest.applications)
  const files = findEnvFiles(root, manifest.suffix.slice(1)).files
  for (const { name, text } of await readSavedEnvFiles(folder, manifest, identities)) {
    const file = files.find(one => one.name === name)
    if (file && !values.has(file.folder)) values.set(file.folder, parse(text))
  }
  return values
}

async function readSavedSecrets(
  folder: string,
  { files }: BackupManifest,
  identities: string[],
): Promise<Manifest[]> {
  const saved = files.find(({ name }) => name === 'kubernetes/secrets.json')
  if (!saved) return []
  return JSON.parse((await readSavedFile(folder, saved, identities)).toString()) as Manifest[]
}

/** Throws Failure (refused) that names each value that the data was written with and that is another here. */
export function refuseOtherValues(saved: Values, here: Values, next: string): void {
  const differing = findEnvFiles(root).files.flatMap(({ folder, entries }) => {
    const [theirs, ours] = [saved.get(folder), here.get(folder)]
    if (!theirs || !ours) return []
    const kept = entries.filter(({ keep, key }) => keep && key in theirs)
    return kept
      .filter(({ key }) => theirs[key] !== ours[key])
      .map(({ key }) => `infra/docker/${folder}: ${key}`)
  })
  if (differing.length)
    throw new Failure(
      exit.refused,
      'Compare keys',
      'the saved data was written with other values than are here',
      { evidence: differing.join('\n'), next },
    )
}
