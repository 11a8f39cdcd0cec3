// A backup that is in a bucket, brought here for a restore. What arrives is checked as any backup is.
import { mkdir } from 'node:fs/promises'
import { statfsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { exit, Failure } from '../../errors.ts'
import { formatMegabytes, step } from '../../report.ts'
import { manifestName, requireManifest } from '../manifest.ts'
import { askRclone, readOffSite, requireRclone, type OffSite } from './copy.ts'

/** Whether a word names a place elsewhere: `s3://bucket/…`, or `remote:path` as rclone has it. */
export const isElsewhere = (word = ''): boolean => /^[\w.-]+:/.test(word)

/** The place that a backup is in, and its name there. */
function readPlace(
  word: string,
  settings: Record<string, string>,
): { place: OffSite; name: string } {
  const url = word.replace(/\/+$/, '')
  const name = basename(url.replace(/^[\w.-]+:/, ''))
  if (!url.startsWith('s3://')) {
    // by the configuration of rclone itself
    const remote = url.includes('/') ? dirname(url) : url.replace(/:.*/, ':')
    return { place: { url: remote, remote, env: undefined }, name }
  }
  const keys = Object.entries(process.env).filter(
    ([key, value]) => /^BACKUP_S3_/.test(key) && value && !settings[key],
  )
  const given = { ...settings, ...(Object.fromEntries(keys) as Record<string, string>) }
  return { place: readOffSite(dirname(url), given)!, name }
}

/** Turns what a copy to the place would say into what a restore from it does. */
async function ask(place: OffSite, what: string, argv: string[], next: string): Promise<string> {
  try {
    return await askRclone(place, what, argv)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { why, evidence } = error
    const unknown = why.includes("didn't find section in config file")
    throw new Failure(exit.refused, what, unknown ? `rclone has no remote ${place.url}` : why, {
      evidence,
      next: unknown ? 'rclone config makes it, then the same command again' : next,
    })
  }
}

/**
 * Brings a backup into a folder of its own in `to`; what is there of it already is not asked for again.
 * Out: that folder. Throws Failure (refused) where it is not there, cannot be read, or has no room here.
 */
export async function fetchBackup(
  word: string,
  to: string,
  settings: Record<string, string>,
): Promise<string> {
  const { place, name } = readPlace(word, settings)
  await requireRclone(place)
  const [remote, folder] = [join(place.remote, name), join(to, name)]
  const what = `Fetch ${name} from ${place.url}`
  const again = 'the same command again: it goes on where it stood'
  const list = ['lsf', '--recursive', '--files-only', '--max-depth', '2']
  const there = await step(`Ask ${place.url} what it has`, () =>
    ask(place, what, [...list, '--include', `/*/${manifestName}`, place.remote], again),
  )
  const names = there.split('\n').flatMap(line => (line ? [dirname(line)] : []))
  if (!names.includes(name))
    throw new Failure(exit.refused, what, `no whole backup of that name is there`, {
      evidence: names.sort().join('\n') || 'there is none at all',
      next: 'the same command with the name of one that is there',
    })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await ask(place, what, ['copy', '--include', `/${manifestName}`, remote, folder], again)
  requireRoom(what, to, requireManifest(folder).files)
  await step(what, () => ask(place, what, ['copy', '--checksum', remote, folder], again))
  return folder
}

function requireRoom(what: string, to: string, files: { stored: { bytes: number } }[]): void {
  const need = files.reduce((sum, { stored }) => sum + stored.bytes, 0)
  const { bavail, bsize } = statfsSync(to)
  if (bavail * bsize > need) return
  throw new Failure(
    exit.refused,
    what,
    `${to} has ${formatMegabytes(bavail * bsize)} free, and it needs ${formatMegabytes(need)}`,
    { next: 'the same command with --to and a folder on a larger disk' },
  )
}
