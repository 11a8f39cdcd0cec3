// A backup as a folder of its own: it is there when all of it is whole, or not at all.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exit, Failure } from '../errors.ts'
import { onInterrupt } from '../interrupt.ts'
import { emit, formatMegabytes, printResult, say, step } from '../report.ts'
import { refuseShrunken } from './choose.ts'
import {
  findBackups,
  nameBackup,
  requireWhole,
  writeManifest,
  type BackupManifest,
  type FoundBackup,
} from './manifest.ts'
import { findPredecessor } from './size.ts'

/** What the command line says of a backup. */
export type BackupOptions = {
  'own-disk'?: boolean
  recipient?: string[]
  unencrypted?: boolean
  'accept-size'?: boolean
  'accept-missing-files'?: boolean
  'without-buckets'?: boolean
}

export interface MakeRequest {
  project: string
  to: string
  /** Less than half of what the backup before had is right. */
  acceptSize: boolean
  /** It is a step of something else, whose result it is not. */
  quiet?: boolean
  /** The backups that it is compared with; those in `to`. */
  before?: FoundBackup[]
}

/**
 * Lets `save` fill a new folder, checks what is there then, and writes its manifest. What fails or is
 * interrupted leaves no folder.
 */
export async function makeBackup(
  { project, to, acceptSize, quiet = false, before: found = findBackups(to) }: MakeRequest,
  save: (folder: string, name: string) => Promise<BackupManifest>,
): Promise<BackupManifest> {
  const name = nameBackup(project, new Date())
  const folder = join(to, name)
  const before = findPredecessor(found, project)
  await createFolder(folder)
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 3 })
  const forget = onInterrupt(remove)
  try {
    const manifest = await save(folder, name)
    refuseShrunken(manifest, before, acceptSize)
    await step('Read back what was written', () => requireWhole(folder, manifest))
    await writeManifest(folder, manifest)
    forget()
    if (!quiet) reportBackup(folder, manifest)
    return manifest
  } catch (error) {
    // what is not whole must not look like a backup
    await remove()
    throw error
  } finally {
    forget()
  }
}

/** Throws Failure (refused) where the place takes no folder. */
async function createFolder(folder: string): Promise<void> {
  const made = mkdir(folder, { recursive: true, mode: 0o700 })
  await made.catch((error: NodeJS.ErrnoException) => {
    throw new Failure(exit.refused, `Make ${folder}`, error.message, {
      next: 'choose another folder, or one that this user may write to',
    })
  })
}

function reportBackup(
  folder: string,
  { databases, volumes, leftOut, files }: BackupManifest,
): void {
  const bytes = files.reduce((sum, { stored }) => sum + stored.bytes, 0)
  emit('result', { folder, bytes, databases, volumes, leftOut })
  for (const { application, volume, emptied, reason } of leftOut)
    say(
      `  ${application}: ${volume} is ${emptied ? 'emptied by a restore' : 'left out'}: ${reason}`,
    )
  printResult(`${folder} is whole and proven: ${formatMegabytes(bytes)}.`)
}
