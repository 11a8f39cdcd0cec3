// The shell's variables beside the env files. Compose lets the shell win, even with an empty value
// (docker/compose#9578); here the files do.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'

/** What chooses other files or services for Compose; the scripts choose them by its arguments. */
const composeChoices = [
  'COMPOSE_FILE',
  'COMPOSE_PROJECT_NAME',
  'COMPOSE_PROFILES',
  'COMPOSE_ENV_FILES',
  'COMPOSE_DISABLE_ENV_FILE',
  'COMPOSE_IGNORE_ORPHANS',
  'COMPOSE_REMOVE_ORPHANS',
  // which env files the folders' Compose files read: only the root file of a further stack says it
  'KGC_ENV_SUFFIX',
]

/** What a person may say for one command, whatever the files say. */
const perCommand = ['MONITORING']

/** A key of an env file, with the value that counts: the root file's before a folder's. */
interface FileValue {
  key: string
  value: string
  /** Relative to the repository. */
  file: string
}

/** The values of an environment's files as they are, right or wrong; what is not there is left out. */
function readFileValues(root: string, suffix: string): Map<string, FileValue> {
  const docker = 'infra/docker'
  const folders = readdirSync(join(root, docker), { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(({ name }) => name)
  const values = new Map<string, FileValue>()
  for (const folder of ['', ...folders.toSorted(), '../monitoring']) {
    const file = join(docker, folder, `.env${suffix}`)
    if (!existsSync(join(root, file))) continue
    for (const [key, value] of Object.entries(parse(readFileSync(join(root, file), 'utf8'))))
      if (!values.has(key)) values.set(key, { key, value, file })
  }
  return values
}

/**
 * What to take out of a child's environment, so that Compose reads an environment's files as they
 * were written: the keys of its env files and what chooses files for Compose.
 */
export function maskShellValues(
  root: string,
  suffix: string,
  env: NodeJS.ProcessEnv = process.env,
): Record<string, undefined> {
  const known = [...readFileValues(root, suffix).keys(), ...composeChoices]
  return Object.fromEntries(known.filter(key => key in env).map(key => [key, undefined]))
}

/** The variables of the shell that say something else than an environment's files do. */
export const findShellConflicts = (
  root: string,
  suffix: string,
  env: NodeJS.ProcessEnv = process.env,
): Pick<FileValue, 'key' | 'file'>[] =>
  [...readFileValues(root, suffix).values()]
    .filter(
      ({ key, value }) => env[key] !== undefined && env[key] !== value && !perCommand.includes(key),
    )
    .map(({ key, file }) => ({ key, file }))
