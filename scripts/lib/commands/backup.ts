// Takes a backup of a running stack (scripts/backup.ts).
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { usageFailure } from '../cli.ts'
import { exit, Failure } from '../errors.ts'
import { checkRecipients } from '../backup/encryption.ts'
import { withWorkplace } from '../backup/helper.ts'
import { createKey } from '../backup/key.ts'
import {
  findBackups,
  nameBackup,
  requireWhole,
  writeManifest,
  type BackupManifest,
} from '../backup/manifest.ts'
import {
  findElsewhere,
  planStack,
  type PlannedApplication,
  type PlannedDatabase,
} from '../backup/plan.ts'
import { saveApplications } from '../backup/save.ts'
import { readDatabaseState } from '../backup/swapping.ts'
import { findPredecessor, findShrunken } from '../backup/size.ts'
import { printBackups } from '../backup/status.ts'
import {
  listContainers,
  containersByService,
  requireEngine,
  type Container,
} from '../compose/containers.ts'
import { refuseOtherOwner } from '../compose/ownership.ts'
import { checkVolumeSecrets, requireMatchingSecrets } from '../compose/volumes/check.ts'
import { readComposeConfig, stackModes, stackOf } from '../compose/stack.ts'
import { loadEnvValues } from '../env/files.ts'
import { emit, formatMegabytes, printResult, say, step, warn } from '../report.ts'
import { findApplicationFolder, root } from '../repository.ts'

interface BackupArguments {
  values: {
    to?: string
    recipient?: string[]
    unencrypted?: boolean
    'accept-size'?: boolean
    'without-buckets'?: boolean
  }
  positionals: string[]
}

/** Takes a backup, lists the backups in a folder, or makes the key that opens them. */
export async function runBackupCommand({ values, positionals }: BackupArguments): Promise<void> {
  const to = requireFolder(values.to)
  if (positionals[0] === 'status') return printBackups(to)
  if (positionals[0] === 'key') return createKey(to)
  const isMode = stackModes().includes(positionals[0] ?? '')
  const [mode = 'dev', ...names] = isMode ? positionals : ['dev', ...positionals]
  const stack = stackOf(mode)
  const settings = loadEnvValues(root, stack.suffix.slice(1))

  // Pre-flight: nothing is touched.
  const recipients = findRecipients(values, settings)
  await requireEngine()
  const all = await readComposeConfig(stack)
  const seen = containersByService(await listContainers(stack.project))
  const plans = chooseApplications(planStack(stack, all), names, seen, mode)
  refuseElsewhere(plans, settings, values['without-buckets'] ?? false)
  const what = `Back up ${stack.project}`
  refuseOtherOwner(
    stack,
    seen,
    what,
    folder => `the same command in ${folder}: its env files are needed`,
  )
  const databases = plans.flatMap(one => one.databases)
  const servers = databases.map(({ service }) => service)
  const image = seen.get(servers[0] ?? '')?.Image
  if (!image) throw new Failure(exit.refused, what, 'no database is among them')
  // without the values that the data was written with, nobody could read it
  requireMatchingSecrets(stack, await checkVolumeSecrets(stack, all, servers, seen), what)
  for (const one of databases) await refuseHalfRestored(one, seen.get(one.service)!)

  // Impact: a folder of its own.
  const name = nameBackup(stack.project, new Date())
  const folder = join(to, name)
  const before = findPredecessor(findBackups(to), stack.project)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    const manifest = await withWorkplace({ project: stack.project, image }, place =>
      saveApplications({ stack, all, seen, plans, place, folder, name, recipients }),
    )
    refuseShrunken(manifest, before, values['accept-size'] ?? false)
    await step('Read back what was written', () => requireWhole(folder, manifest))
    await writeManifest(folder, manifest)
    reportBackup(folder, manifest)
  } catch (error) {
    // what is not whole must not look like a backup
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

function requireFolder(to: string | undefined): string {
  if (to === undefined) throw usageFailure('--to needs the folder that backups are in')
  if (/^\w+:\/\//.test(to))
    throw usageFailure(
      '--to takes a folder of this machine; what it holds is copied on by restic or rclone',
    )
  return resolve(to)
}

/** To whom it is encrypted. Throws Failure (refused) for nobody, unless that is what was asked. */
function findRecipients(
  { recipient, unencrypted }: BackupArguments['values'],
  settings: Record<string, string>,
): string[] {
  const named = recipient ?? (settings.BACKUP_RECIPIENTS ?? '').split(',')
  const recipients = named.map(one => one.trim()).filter(Boolean)
  if (unencrypted && recipient) throw usageFailure('either --recipient or --unencrypted')
  if (unencrypted) {
    warn('it is not encrypted: everybody who can read the folder has all data and passwords')
    return []
  }
  if (!recipients.length)
    throw new Failure(
      exit.refused,
      'Read the recipients',
      'nobody could open the backup: there is no recipient',
      {
        evidence: 'A backup holds everything, passwords too, so it is encrypted.',
        next: 'npx zx scripts/backup.ts key --to FILE, then its recipient as BACKUP_RECIPIENTS in infra/docker/.env; or the same command with --unencrypted',
      },
    )
  checkRecipients(recipients)
  return recipients
}

/**
 * The applications that are named, or else all that have run here, with the databases that must
 * answer. Throws Failure (refused) for a database that does not run: it would be missing.
 */
function chooseApplications(
  plans: PlannedApplication[],
  names: string[],
  seen: Map<string, Container>,
  mode: string,
): PlannedApplication[] {
  const folders = names.map(name => {
    const folder = findApplicationFolder(name)
    if (!folder) throw usageFailure(`${name} is no application: no folder of infra/docker`)
    return folder
  })
  const chosen = plans.filter(({ folder, services }) =>
    folders.length ? folders.includes(folder) : services.some(service => seen.has(service)),
  )
  const down = chosen
    .flatMap(({ databases }) => databases)
    .filter(({ service }) => seen.get(service)?.State.Status !== 'running')
  if (down.length)
    throw new Failure(
      exit.refused,
      'Choose what to back up',
      `${down.map(({ service }) => service).join(', ')} does not run`,
      {
        next: `npx zx scripts/up.ts ${mode}, or name the applications that a backup is to have`,
      },
    )
  return chosen
}

/** Throws Failure (refused) for a database whose restore has not come to its end. */
async function refuseHalfRestored(database: PlannedDatabase, server: Container): Promise<void> {
  const { what, begun } = await readDatabaseState(database, server)
  if (begun !== undefined)
    throw new Failure(
      exit.refused,
      `Look at ${what}`,
      `it is in the middle of the restore of ${begun}`,
      {
        next: `the restore of ${begun} again: it comes to its end`,
      },
    )
}

/** What lies in a bucket is in no backup: refused, unless that is known. */
function refuseElsewhere(
  plans: PlannedApplication[],
  settings: Record<string, string>,
  known: boolean,
): void {
  const found = findElsewhere(
    plans.map(({ folder }) => folder),
    settings,
  )
  for (const { what, next, moved } of found)
    if (known || !moved) warn(`not in this backup: ${what}; save it with ${next}`)
  const [first] = found.filter(({ moved }) => moved)
  if (first && !known)
    throw new Failure(exit.refused, 'Choose what to back up', first.what, {
      next: `${first.next}, and the same command with --without-buckets`,
    })
}

function refuseShrunken(
  now: BackupManifest,
  before: Pick<BackupManifest, 'databases' | 'volumes'>,
  accepted: boolean,
): void {
  const { empty, small } = findShrunken(now, before)
  const what = 'Compare with the backup before'
  if (empty.length)
    throw new Failure(exit.rolledBack, what, empty[0]!, {
      evidence: empty.join('\n'),
      next: 'find out where it went; if nothing is missing: the same command with another folder',
    })
  if (small.length && !accepted)
    throw new Failure(exit.rolledBack, what, small[0]!, {
      evidence: small.join('\n'),
      next: 'find out where it went; if nothing is missing: the same command with --accept-size',
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
