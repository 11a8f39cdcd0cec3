// Takes a backup of a running stack (scripts/backup.ts).
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  chooseApplications,
  findRecipients,
  refuseElsewhere,
  refuseHalfRestored,
  refuseShrunken,
  refuseSystemDisk,
} from '../backup/choose.ts'
import { maintenanceVerbs, runMaintenance } from '../backup/health/maintain.ts'
import { reportHealth } from '../backup/health/metrics.ts'
import { recordTry, type BackupTry } from '../backup/health/record.ts'
import { createKey } from '../backup/key.ts'
import { withLock } from '../backup/lock.ts'
import {
  findBackups,
  nameBackup,
  requireWhole,
  writeManifest,
  type BackupManifest,
} from '../backup/manifest.ts'
import { copyBackups, readOffSite, requireRclone } from '../backup/off-site/copy.ts'
import { planStack } from '../backup/plan.ts'
import { pruneBackups } from '../backup/retention/prune.ts'
import { readKeepRules } from '../backup/retention/rules.ts'
import { saveApplications } from '../backup/save.ts'
import { findPredecessor } from '../backup/size.ts'
import { usageFailure } from '../cli.ts'
import { containersByService, listContainers, requireEngine } from '../compose/containers.ts'
import { refuseOtherOwner } from '../compose/ownership.ts'
import { readComposeConfig, stackModes, stackOf, type Stack } from '../compose/stack.ts'
import { checkVolumeSecrets, requireMatchingSecrets } from '../compose/volumes/check.ts'
import { loadEnvValues } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { emit, formatMegabytes, printResult, say, step } from '../report.ts'
import { root } from '../repository.ts'
import { createComposeEngine } from '../backup/compose-engine.ts'
import { withWorkplace } from '../backup/workplace.ts'

interface BackupArguments {
  values: {
    to?: string
    'copy-to'?: string
    'own-disk'?: boolean
    recipient?: string[]
    unencrypted?: boolean
    'accept-size'?: boolean
    'without-buckets'?: boolean
    'keep-last'?: string
    'keep-daily'?: string
    'keep-weekly'?: string
    'keep-monthly'?: string
    'dry-run'?: boolean
    identity?: string
  }
  positionals: string[]
}

/** Takes a backup, or does to those in a folder what the first word says. */
export async function runBackupCommand({ values, positionals }: BackupArguments): Promise<void> {
  const verb = maintenanceVerbs.find(one => one === positionals[0])
  if (positionals[0] === 'key') return createKey(requireFolder(values.to))
  const words = verb ? positionals.slice(1) : positionals
  const isMode = stackModes().includes(words[0] ?? '')
  const [mode = 'dev', ...names] = isMode ? words : ['dev', ...words]
  if (values['dry-run'] && verb !== 'prune') throw usageFailure('--dry-run goes with prune')
  if (values.identity && verb !== 'prove-key') throw usageFailure('--identity goes with prove-key')
  const stack = stackOf(mode)
  const settings = loadEnvValues(root, stack.suffix.slice(1), true)
  const to = requireFolder(values.to ?? (settings.BACKUP_FOLDER || undefined))
  const place = { project: stack.project, monitored: stack.monitored, to }
  const offSite = readOffSite(values['copy-to'], settings)
  if (verb) return runMaintenance(verb, place, names, { ...values, offSite })
  const rules = readKeepRules(values)
  await withLock(stack.project, async () => {
    let fresh: string | undefined
    let lastTry: BackupTry | undefined
    const work = async () => {
      if (offSite) await requireRclone(offSite)
      const manifest = await takeBackup(stack, to, names, values)
      if (offSite) await copyBackups(place, offSite, manifest.name)
      return manifest
    }
    try {
      const made = await recordTry(place, !names.length, work, one => void (lastTry = one))
      fresh = made.name
      if (Object.keys(rules).length) await pruneBackups(to, stack.project, rules, { fresh })
    } finally {
      await reportHealth(place, fresh, lastTry)
    }
  })
}

/** Takes a backup into a folder of its own in `to`. */
async function takeBackup(
  stack: Stack,
  to: string,
  names: string[],
  values: BackupArguments['values'],
): Promise<BackupManifest> {
  const { mode } = stack
  const settings = loadEnvValues(root, stack.suffix.slice(1))

  // Pre-flight: nothing is touched.
  const recipients = findRecipients(values, settings)
  if (values['own-disk']) refuseSystemDisk(to)
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
      saveApplications({
        engine: createComposeEngine({ stack, all, seen, place }),
        ...{ plans, folder, name, recipients },
      }),
    )
    refuseShrunken(manifest, before, values['accept-size'] ?? false)
    await step('Read back what was written', () => requireWhole(folder, manifest))
    await writeManifest(folder, manifest)
    reportBackup(folder, manifest)
    return manifest
  } catch (error) {
    // what is not whole must not look like a backup
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

function requireFolder(to: string | undefined): string {
  if (to === undefined)
    throw usageFailure(
      '--to needs the folder that backups are in, or BACKUP_FOLDER in infra/docker/.env',
    )
  if (/^\w+:\/\//.test(to))
    throw usageFailure(
      '--to takes a folder of this machine; --copy-to copies what it holds to a bucket',
    )
  return resolve(to)
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
