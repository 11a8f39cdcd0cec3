// Whether the env files hold the secrets that the stack's volumes were written with: checked before
// a start, recorded after it.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ComposeConfig, Stack } from '../stack.ts'
import { readContainers, type Container } from '../containers.ts'
import { createSecretRecord, mismatchedSecrets, type SecretRecord } from './secret-record.ts'
import {
  acceptsPassword,
  postgresPasswordKey,
  readSecretRecords,
  databaseVolumesOf,
  writeSecretRecord,
  type DatabaseVolume,
} from './secrets.ts'
import { Failure, exit } from '../../errors.ts'
import { warn } from '../../report.ts'
import { root } from '../../repository.ts'
import { setRolePassword } from '../rotation/credentials.ts'

/** A store as it is found. */
export interface VolumeSecretsFit {
  store: DatabaseVolume
  /** undefined: its volume is new, or of a time before records. */
  record?: SecretRecord | undefined
  /** The keys, as people call them, whose values its data was not written with. */
  misfits: string[]
  /** The record says all of it. */
  recorded: boolean
}

/**
 * How the databases among the services fit the env files of `stack`. A password of which there is
 * doubt is put to a database that runs.
 */
export async function checkVolumeSecrets(
  stack: Stack,
  all: ComposeConfig,
  services: string[],
  seen: Map<string, Container>,
): Promise<VolumeSecretsFit[]> {
  const stores = databaseVolumesOf(all, services, stack.suffix.slice(1))
  const records = await readSecretRecords(stores, seen)
  return Promise.all(
    stores.map(store =>
      records.has(store)
        ? checkVolume(store, records.get(store), seen.get(store.service))
        : { store, misfits: [], recorded: false },
    ),
  )
}

async function checkVolume(
  store: DatabaseVolume,
  record: SecretRecord | undefined,
  container: Container | undefined,
): Promise<VolumeSecretsFit> {
  const changed = record ? await mismatchedSecrets(record, store.secrets) : []
  const doubt = !record || changed.includes(postgresPasswordKey)
  // where nobody can be asked, a record counts, and without one nothing can be told
  const refused = doubt && !((await acceptsPassword(store, container)) ?? !record)
  const kept = Object.fromEntries(
    changed.filter(key => key !== postgresPasswordKey).map(key => [key, store.secrets[key]!]),
  )
  const misfits = [
    ...(refused ? [store.passwordKey] : []),
    ...(record ? await mismatchedSecrets(record, kept, store.values) : []),
  ]
  const recorded =
    !changed.length &&
    record?.folder === root &&
    Object.keys(store.secrets).every(key => record.hashes[key])
  return { store, record, misfits, recorded }
}

/**
 * Throws Failure (refused) that names the keys whose values the volumes do not know, and where the
 * ones are that they do.
 */
export function requireMatchingSecrets(
  stack: Stack,
  found: VolumeSecretsFit[],
  what: string,
): void {
  const bad = found.filter(({ misfits }) => misfits.length)
  if (!bad.length) return
  const folders = [
    ...new Set(
      bad.flatMap(({ record }) => (record && record.folder !== root ? [record.folder] : [])),
    ),
  ]
  const there = folders.find(folder => existsSync(join(folder, 'infra/docker/docker-compose.yml')))
  const purge = stack.mode === 'demo' ? 'make demo-down' : 'make purge'
  throw new Failure(
    exit.refused,
    what,
    `the data of ${bad.map(({ store }) => store.service).join(', ')} was written with secrets that differ from the env files`,
    {
      evidence: bad
        .map(
          ({ store, misfits, record }) =>
            `${misfits.join(', ')}: another value in the volume ${store.volume}${record ? `, last started from ${record.folder}` : ''}`,
        )
        .join('\n'),
      next: `${there ? `start it in ${there}, or take its env files` : 'put the old env files back'}; if the data is not needed: ${purge}, then the same command again`,
    },
  )
}

/**
 * Records in the volumes what their data is written with now, where the database takes the
 * password: one older than these records may have been started by itself with another. The stack runs:
 * what cannot be recorded is a warning.
 */
export async function recordSecrets(stack: Stack, found: VolumeSecretsFit[]): Promise<void> {
  const open = found.filter(({ recorded }) => !recorded)
  if (!open.length) return
  const seen = await readContainers(stack.project)
  const written = open.map(async ({ store }) => {
    const container = seen.get(store.service)
    if (!container) return
    const answer = await acceptsPassword(store, container)
    if (answer === undefined)
      return warn(`${store.service} does not answer: the secrets of its volume are not recorded`)
    if (!answer)
      return warn(
        `${store.service} rejects the password in ${store.passwordKey}: its volume ${store.volume} was written with another one`,
      )
    const record = await createSecretRecord(store.secrets, root)
    await Promise.all([
      writeSecretRecord(store, container.Id, record),
      closeOtherLogin(store, container),
    ]).catch(error => warn(`${(error as Failure).what}: ${(error as Failure).evidence ?? error}`))
  })
  await Promise.all(written)
}

/** After another password: the login that nobody uses has none, also where a rotation was interrupted. */
async function closeOtherLogin(
  { database, login }: DatabaseVolume,
  server: Container,
): Promise<void> {
  const other = [`${database}_a`, `${database}_b`].find(name => name !== login)
  if (database && login && other) await setRolePassword(server, other)
}
