// A backup that is to be restored into a stack on this machine.
import { parse } from 'dotenv'
import type { Stack } from '../../compose/stack.ts'
import { findEnvFiles, loadEnvValues, readEnvText } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import { root } from '../../repository.ts'
import { requireManifest, type BackupManifest } from '../manifest.ts'
import type { OpenBackup } from './into-stack.ts'
import { readSavedValues, refuseOtherValues } from './kept-values.ts'
import { openBackup, refuseAbsent } from './open.ts'
import { readSavedEnvFiles, selectMissingEnvFiles, type SavedEnvFile } from './ready.ts'

/**
 * Opens a backup for a stack; reads only. Out: with it, the env files that are not here. Throws Failure
 * (refused) for what cannot be opened, is damaged, or is of another stack; `masked`: of any, whose values
 * are not asked for.
 */
export async function openForStack(
  folder: string,
  stack: Stack,
  folders: string[],
  identity: string | undefined,
  masked = false,
): Promise<OpenBackup & { missing: SavedEnvFile[] }> {
  const manifest = requireManifest(folder)
  if (masked) refuseAbsent(manifest, folders)
  else refuseOtherStack(manifest, stack, folders)
  const identities = await openBackup(folder, manifest, identity)
  const missing = masked ? [] : await readMissingEnvFiles(folder, manifest, identities, stack)
  return { folder, manifest, identities, missing }
}

/**
 * The env files that are to be written; those of an environment on Kubernetes are another stack's.
 * Throws Failure (refused) where the data was written with other values than are here.
 */
async function readMissingEnvFiles(
  folder: string,
  manifest: BackupManifest,
  identities: string[],
  { suffix }: Stack,
): Promise<SavedEnvFile[]> {
  const environment = suffix.slice(1)
  if (!manifest.engine) {
    const saved = await readSavedEnvFiles(folder, manifest, identities)
    return selectMissingEnvFiles(saved, environment)
  }
  loadEnvValues(root, environment)
  const here = new Map(
    findEnvFiles(root, environment).files.map(({ folder, path }) => [
      folder,
      parse(readEnvText(path) ?? ''),
    ]),
  )
  const values = await readSavedValues(folder, manifest, identities)
  const next = `the values of the backup's kubernetes/secrets.json into the env files${suffix && ` ${suffix}`}, while the stack has no data yet, then the same command again`
  refuseOtherValues(values, here, next)
  return []
}

function refuseOtherStack(manifest: BackupManifest, { suffix }: Stack, folders: string[]): void {
  const what = `Read ${manifest.name}`
  if (!manifest.engine && manifest.suffix !== suffix)
    throw new Failure(
      exit.refused,
      what,
      `it is of a stack with the env files .env${manifest.suffix}, not .env${suffix}`,
      {
        next: `the same command with the mode ${manifest.suffix.slice(1) || 'prod'}`,
      },
    )
  refuseAbsent(manifest, folders)
}
