// Loads what the applications' own folders export for the scripts.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Failure, exit } from '../errors.ts'
import { listApplications, dockerFolder, findApplicationFolder } from '../repository.ts'

/**
 * What each application's folder exports from `file` (smoke.ts, admin.ts, upgrade-paths.ts,
 * schema-version.ts), by folder; folders without it are left out.
 * `only` names the folders that are wanted: Failure (usage) for one that has no such file.
 */
export async function loadAppModules<T>(
  file: string,
  only?: string[],
): Promise<(T & { folder: string })[]> {
  const folders = listApplications().filter(folder => existsSync(join(dockerFolder, folder, file)))
  const chosen = (only ?? []).map(name => findApplicationFolder(name) ?? name)
  const strange = chosen.filter(name => !folders.includes(name))
  if (strange.length)
    throw new Failure(
      exit.usage,
      'Choose the applications',
      `${strange.join(', ')}: no folder of infra/docker with a ${file}`,
      {
        next: `one of: ${folders.join(', ')}`,
      },
    )
  const wanted = folders.filter(folder => !chosen.length || chosen.includes(folder))
  return Promise.all(
    wanted.map(async folder => ({
      ...((await import(pathToFileURL(join(dockerFolder, folder, file)).href)) as T),
      folder,
    })),
  )
}
