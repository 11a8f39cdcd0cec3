// What happened to a project's backups beside them: the last try, when somebody showed that they can
// be opened, and the last restore. It lies in their folder, so that it goes where they go.
import { existsSync, readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { onInterrupt } from '../../interrupt.ts'
import { warned } from '../../monitoring/restarts.ts'
import { redact } from '../../redact.ts'
import { findBackups, type BackupManifest } from '../manifest.ts'

/** A project's backups in a folder. */
export interface BackupFolder {
  project: string
  /** Tells its monitoring of them; there is none without it. */
  writeMetrics?: ((text: string) => Promise<void>) | undefined
  to: string
}

/** How a backup ended; `why`: it failed. */
export interface BackupTry {
  at: string
  ms: number
  why?: string
}

/** Times are ISO 8601. */
export interface BackupRecord {
  lastTry?: BackupTry
  /** The applications of the last backup that named none: those of the stack. */
  applications?: string[]
  keyProven?: { at: string; backup: string; recipients: string[] }
  copied?: { at: string; backup: string; to: string }
  /** `into`: the project that has it now; a drill has thrown it away again. */
  restored?: { at: string; backup: string; ms: number; into?: string }
}

const pathOf = (to: string, project: string) => join(to, `${project}.record.json`)

/** The record of a project; an empty one where there is none, or it cannot be read. */
export function readRecord(to: string, project: string): BackupRecord {
  try {
    return JSON.parse(readFileSync(pathOf(to, project), 'utf8')) as BackupRecord
  } catch {
    return {}
  }
}

/** Changes parts of a project's record. Throws where the folder takes no file. */
export async function changeRecord(
  to: string,
  project: string,
  change: BackupRecord,
): Promise<void> {
  const path = pathOf(to, project)
  const text = JSON.stringify({ ...readRecord(to, project), ...change }, undefined, 2)
  await writeFile(`${path}.new`, `${text}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

/**
 * Does the work of a backup and records how it ended; `isWhole`: of all that runs. `tell` hears it
 * even where the folder takes no record.
 */
export async function recordTry(
  { to, project }: Pick<BackupFolder, 'to' | 'project'>,
  isWhole: boolean,
  work: () => Promise<BackupManifest>,
  tell: (lastTry: BackupTry) => void = () => {},
): Promise<BackupManifest> {
  const start = Date.now()
  const note = async (change: BackupRecord, why?: string) => {
    const lastTry = { at: new Date().toISOString(), ms: Date.now() - start, ...(why && { why }) }
    tell(lastTry)
    if (existsSync(to))
      await warned('This try is not recorded', () =>
        changeRecord(to, project, { ...change, lastTry }),
      )
  }
  const forget = onInterrupt(() => note({}, 'interrupted'))
  try {
    const manifest = await work()
    await note(isWhole ? { applications: manifest.applications } : {})
    return manifest
  } catch (error) {
    await note({}, redact((error as Error).message))
    throw error
  } finally {
    forget()
  }
}

/**
 * Records how long the restore of a whole backup took, ms, where its folder has a record. It has opened
 * every file, so it proves the key, too, unless today's backups are for others.
 */
export async function noteRestore(
  folder: string,
  { name, project, recipients }: BackupManifest,
  ms: number,
  into?: string,
): Promise<void> {
  const to = dirname(folder)
  const at = new Date().toISOString()
  const restored = { at, backup: name, ms, ...(into && { into }) }
  if (existsSync(pathOf(to, project)))
    await warned('This restore is not recorded', async () =>
      changeRecord(to, project, {
        restored,
        ...(recipients.length > 0 &&
          readNewestRecipients(to, project) === recipients.join() && {
            keyProven: { at, backup: name, recipients },
          }),
      }),
    )
}

/** Whom a project's newest backup is for. */
const readNewestRecipients = (to: string, project: string): string | undefined =>
  findBackups(to)
    .find(({ manifest }) => manifest?.project === project)
    ?.manifest?.recipients.join()
