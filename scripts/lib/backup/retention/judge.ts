// Which of the backups in a folder count, and why others do not.
import { statSync } from 'node:fs'
import { basename, join } from 'node:path'
import {
  clockToleranceMs,
  findBackups,
  findDamage,
  manifestName,
  type BackupManifest,
  type FoundBackup,
} from '../manifest.ts'

/** A backup of a project. */
export interface JudgedBackup {
  name: string
  folder: string
  /** ms; of one without a manifest what its name says. */
  time: number
  manifest: BackupManifest | undefined
  /** `good`: whole, and proven by a restore. */
  state: 'good' | 'unfinished' | 'doubtful'
  /** Why it is not good. */
  why: string
}

const namePattern = /^(.+)-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/

/** What the name of a backup's folder says. */
function parseName(name: string): { project: string; time: number } {
  const [, project = '', ...parts] = namePattern.exec(name) ?? []
  const [year, month, day, hour, minute, second] = parts
  return { project, time: Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) }
}

/** Whether a restore has shown that each of its databases comes back as it was. */
export const isProven = ({ databases }: BackupManifest): boolean =>
  databases.every(({ provenMs }) => provenMs > 0)

/**
 * The backups of a project in a folder, the newest first: of each application the newest good one
 * is read to its last byte by `read`, but `fresh`, which just was; the others are judged by the sizes
 * of their files. What another project or a person has put there is not among them.
 */
export async function judgeBackups(
  to: string,
  project: string,
  { now = Date.now(), fresh = '', read: readWhole = findDamage } = {},
): Promise<JudgedBackup[]> {
  const own = findBackups(to).filter(
    ({ folder, manifest }) =>
      parseName(basename(folder)).project === project &&
      (manifest ? manifest.project === project && manifest.name === basename(folder) : true),
  )
  const judged = own
    .map(one => judgeBackup(one, now))
    .sort((a, b) => b.time - a.time || b.name.localeCompare(a.name))
  const read = new Set<string>()
  for (const one of judged) {
    const unread = one.manifest?.applications.filter(name => !read.has(name)) ?? []
    if (one.state !== 'good' || !one.manifest || !unread.length) continue
    const [damage] = one.name === fresh ? [] : await readWhole(one.folder, one.manifest)
    if (damage) Object.assign(one, { state: 'doubtful', why: damage })
    else for (const name of unread) read.add(name)
  }
  return judged
}

function judgeBackup({ folder, manifest }: FoundBackup, now: number): JudgedBackup {
  const name = basename(folder)
  const time = manifest ? Date.parse(manifest.created) : parseName(name).time
  const as = (state: JudgedBackup['state'], why = ''): JudgedBackup => ({
    ...{ name, folder, time, manifest, state, why },
  })
  if (!(time < now + clockToleranceMs)) return as('doubtful', 'dated in the future')
  try {
    if (!manifest)
      return sizeOf(folder, manifestName) === undefined
        ? as('unfinished', 'did not come to its end')
        : as('doubtful', 'its manifest is damaged, or of a newer release')
    if (!isProven(manifest)) return as('doubtful', 'not proven by a restore')
    const damaged = manifest.files.find(
      ({ stored }) => sizeOf(folder, stored.path) !== stored.bytes,
    )
    return damaged ? as('doubtful', `${damaged.stored.path} is not as it was written`) : as('good')
  } catch (error) {
    // what cannot be read may be a good one
    return as('doubtful', (error as Error).message)
  }
}

/** Throws where nobody can say, as without the right to look. */
const sizeOf = (folder: string, path: string) =>
  statSync(join(folder, path), { throwIfNoEntry: false })?.size
