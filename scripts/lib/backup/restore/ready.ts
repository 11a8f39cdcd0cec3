// Whether a backup can be restored here, asked before anything is touched.
import { existsSync } from 'node:fs'
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parse } from 'dotenv'
import { findBlockedUpgrades, type UpgradeRule } from '../../deploy/preflight/upgrade-paths.ts'
import { findEnvFiles, readEnvText } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import { root } from '../../repository.ts'
import { loadAppModules } from '../../smoke/app-modules.ts'
import { isVersionBefore, parseVersion } from '../../version.ts'
import type { BackupManifest, SavedDatabase } from '../manifest.ts'
import type { AskServer } from '../engine.ts'
import { readSavedFile } from './open.ts'

/** An env file of a backup. */
export interface SavedEnvFile {
  /** Relative to the repository. */
  name: string
  text: string
}

/** What env files may be called: a backup writes no other file here. */
function listEnvNames(suffix: string): string[] {
  const { files } = findEnvFiles(root, suffix.slice(1))
  const extra = files
    .filter(({ folder }) => folder)
    .map(({ folder }) => join('infra/docker', folder, `extra${suffix}.env`))
  return [...files.map(({ name }) => name), ...extra]
}

/** The env files of a backup. Throws Failure (refused) for a name that is none, and for one that is not as it was saved. */
export async function readSavedEnvFiles(
  folder: string,
  manifest: BackupManifest,
  identities: string[],
): Promise<SavedEnvFile[]> {
  const what = 'Read the env files of the backup'
  const names = listEnvNames(manifest.suffix)
  const found: SavedEnvFile[] = []
  for (const one of manifest.files) {
    if (!one.name.startsWith('env/')) continue
    const own = one.name.slice('env/'.length)
    if (!names.includes(own))
      throw new Failure(exit.refused, what, `${own} is no env file of this repository`)
    const bytes = await readSavedFile(folder, one, identities)
    found.push({ name: own, text: bytes.toString() })
  }
  return found
}

/**
 * The env files that are missing here. Throws Failure (refused) where one that is here has another
 * value of a key that the saved data was written with.
 */
export function selectMissingEnvFiles(saved: SavedEnvFile[], environment: string): SavedEnvFile[] {
  const known = findEnvFiles(root, environment).files
  const differing = saved.flatMap(({ name, text }) => {
    const here = readEnvText(join(root, name))
    const kept = known.find(file => file.name === name)?.entries.filter(({ keep }) => keep) ?? []
    if (here === undefined) return []
    const [ours, theirs] = [parse(here), parse(text)]
    return kept.filter(({ key }) => ours[key] !== theirs[key]).map(({ key }) => `${name}: ${key}`)
  })
  if (differing.length)
    throw new Failure(
      exit.refused,
      'Compare the env files',
      'the saved data was written with other values than are here',
      {
        evidence: differing.join('\n'),
        next: 'move the env files here away, and the same command again: it writes those of the backup',
      },
    )
  return saved.filter(({ name }) => !existsSync(join(root, name)))
}

/** Writes env files that are not there, closed to others. */
export async function restoreEnvFiles(files: SavedEnvFile[]): Promise<void> {
  for (const { name, text } of files) {
    const path = join(root, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.new`, text, { mode: 0o600 })
    await chmod(`${path}.new`, 0o600)
    await rename(`${path}.new`, path)
  }
}

/** Throws Failure (refused) where an application's release here does not read the data of the one that was saved. */
export async function refuseBlockedReleases(
  {
    images,
    databases,
  }: Pick<BackupManifest, 'images'> & { databases: Pick<SavedDatabase, 'service'>[] },
  imagesHere: Record<string, string | undefined>,
): Promise<void> {
  const modules = await loadAppModules<{ upgradePaths: UpgradeRule[] }>('upgrade-paths.ts')
  const rules = modules.flatMap(({ upgradePaths }) => upgradePaths)
  const blocked = Object.entries(images).flatMap(([service, { image }]) => {
    const here = imagesHere[service]
    // a dump goes into any newer server
    if (!here || databases.some(one => one.service === service)) return []
    return findBlockedUpgrades(rules, [image], [here]).map(words => `${service}: ${words}`)
  })
  if (blocked.length)
    throw new Failure(exit.refused, 'Compare the releases', blocked[0]!, {
      evidence: blocked.join('\n'),
      next: 'restore with the release that the backup was taken from: its images are in the manifest',
    })
}

const serverQuery = `SELECT current_setting('server_version'), pg_encoding_to_char(encoding),
  CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' ELSE 'builtin' END, coalesce(facts ->> 'datlocale', facts ->> 'daticulocale', datcollate),
  substring(version() FROM ' on ([^,]*),') FROM pg_database, to_jsonb(pg_database) AS facts WHERE datname = 'template0'`

/** Throws Failure (refused) where a server is older than the one that was saved, or sorts by another rule. */
export async function refuseOtherServer(saved: SavedDatabase, ask: AskServer): Promise<void> {
  const what = `Compare the server of ${saved.database}`
  const [row = []] = await ask(what, serverQuery)
  const [version = '', encoding, provider, locale, libc] = row
  const [now, then] = [version, saved.server].map(text =>
    parseVersion(text, /^(\d+)(?:\.(\d+))?(?:\.(\d+))?/),
  )
  if (now && then && isVersionBefore(now, then))
    throw new Failure(
      exit.refused,
      what,
      `PostgreSQL ${version} does not read a dump of ${saved.server}`,
      {
        next: 'use an image of at least that version',
      },
    )
  const sortsElse = provider !== saved.provider || locale !== saved.locale
  const unlike = saved.provider === 'libc' && libc !== saved.libc
  // what moves in is to be sorted as it is here: a restore makes all indexes
  const differs = encoding !== saved.encoding || (!saved.foreign && (sortsElse || unlike))
  if (differs)
    throw new Failure(
      exit.refused,
      what,
      `it sorts by ${provider} ${locale}, ${encoding} on ${libc}; what was saved by ${saved.provider} ${saved.locale}, ${saved.encoding} on ${saved.libc}`,
      {
        next: 'make its volume with the same POSTGRES_INITDB_ARGS (infra/docker/postgres/README.md)',
      },
    )
}
