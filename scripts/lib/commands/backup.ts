// Takes a backup of a running stack (scripts/backup.ts).
import { resolve } from 'node:path'
import {
  chooseApplications,
  findRecipients,
  isEnvironment,
  refuseElsewhere,
  refuseHalfRestored,
  refuseSystemDisk,
  requireFolder,
} from '../backup/choose.ts'
import { createComposeEngine } from '../backup/compose/engine.ts'
import { maintenanceVerbs, runMaintenance } from '../backup/health/maintain.ts'
import { reportHealth } from '../backup/health/metrics.ts'
import { recordTry, type BackupFolder, type BackupTry } from '../backup/health/record.ts'
import { createKey } from '../backup/key.ts'
import { backUpEnvironment } from '../backup/kubernetes/backup.ts'
import { writeEnvironmentMetrics } from '../backup/health/environment-metrics.ts'
import { withLock } from '../backup/lock.ts'
import { makeBackup, type BackupOptions } from '../backup/make.ts'
import type { BackupManifest } from '../backup/manifest.ts'
import { copyBackups, readOffSite, requireRclone } from '../backup/off-site/copy.ts'
import { planStack } from '../backup/plan.ts'
import { pruneBackups } from '../backup/retention/prune.ts'
import { readKeepRules } from '../backup/retention/rules.ts'
import { saveApplications } from '../backup/save.ts'
import { asking } from '../backup/compose/restore-engine.ts'
import { withWorkplace } from '../backup/compose/workplace.ts'
import { usageFailure } from '../cli.ts'
import { containersByService, listContainers, requireEngine } from '../compose/containers.ts'
import { refuseOtherOwner } from '../compose/ownership.ts'
import { readComposeConfig, stackModes, stackOf, type Stack } from '../compose/stack.ts'
import { checkVolumeSecrets, requireMatchingSecrets } from '../compose/volumes/check.ts'
import { loadEnvValues } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { loadEnvironment } from '../kubernetes/environment.ts'
import { writeMetrics } from '../monitoring/textfile.ts'
import { root } from '../repository.ts'

interface BackupArguments {
  values: BackupOptions & {
    to?: string
    'copy-to'?: string
    target?: string
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
  if (positionals[0] === 'key') {
    if (values.to === undefined) throw usageFailure('--to needs the file that the key goes into')
    return createKey(resolve(values.to))
  }
  const words = verb ? positionals.slice(1) : positionals
  const { names, suffix, take, ...chosen } = chooseStack(values.target, words)
  if (values['dry-run'] && verb !== 'prune') throw usageFailure('--dry-run goes with prune')
  if (values.identity && verb !== 'prove-key') throw usageFailure('--identity goes with prove-key')
  const settings = loadEnvValues(root, suffix.slice(1), true)
  const to = requireFolder(values.to, settings, suffix)
  const place = { ...chosen, to }
  const offSite = readOffSite(values['copy-to'], settings)
  if (verb) return runMaintenance(verb, place, names, { ...values, offSite })
  const rules = readKeepRules(values)
  await withLock(place.project, async () => {
    let fresh: string | undefined
    let lastTry: BackupTry | undefined
    const work = async () => {
      if (offSite) await requireRclone(offSite)
      const manifest = await take(to, names, values)
      if (offSite) await copyBackups(place, offSite, manifest.name)
      return manifest
    }
    try {
      const made = await recordTry(place, !names.length, work, one => void (lastTry = one))
      fresh = made.name
      if (Object.keys(rules).length) await pruneBackups(to, place.project, rules, { fresh })
    } finally {
      await reportHealth(place, fresh, lastTry)
    }
  })
}

interface ChosenStack extends Omit<BackupFolder, 'to'> {
  /** Of its env files. */
  suffix: string
  /** The words that are left. */
  names: string[]
  take: (to: string, names: string[], values: BackupOptions) => Promise<BackupManifest>
}

/** The stack that the first word names: a mode of Compose, or an environment on Kubernetes. */
function chooseStack(target: string | undefined, words: string[]): ChosenStack {
  const [first = '', ...rest] = words
  if (isEnvironment(target, first)) {
    const environment = loadEnvironment(first)
    const { namespace: project, name } = environment
    const take: ChosenStack['take'] = (...given) => backUpEnvironment(environment, ...given)
    const tell = (text: string) => writeEnvironmentMetrics(environment, text)
    return { project, writeMetrics: tell, suffix: `.${name}`, names: rest, take }
  }
  const isMode = stackModes().includes(first)
  const stack = stackOf(isMode ? first : 'dev')
  const { project, monitored, suffix } = stack
  const take: ChosenStack['take'] = (...given) => takeBackup(stack, ...given)
  const tell = (text: string) => writeMetrics(project, 'kgc_backup', text)
  return {
    ...{ project, suffix, names: isMode ? rest : words, take },
    ...(monitored && { writeMetrics: tell }),
  }
}

/** Takes a backup into a folder of its own in `to`. */
async function takeBackup(
  stack: Stack,
  to: string,
  names: string[],
  values: BackupOptions,
): Promise<BackupManifest> {
  const { mode } = stack
  const settings = loadEnvValues(root, stack.suffix.slice(1))

  // Pre-flight: nothing is touched.
  const recipients = await findRecipients(values, settings, stack.suffix)
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
  for (const one of databases) await refuseHalfRestored(one, asking(seen.get(one.service)!))

  return makeBackup(
    { project: stack.project, to, acceptSize: values['accept-size'] ?? false },
    (folder, name) =>
      withWorkplace({ project: stack.project, image }, place =>
        saveApplications({
          engine: createComposeEngine({ stack, all, seen, place }),
          ...{ plans, folder, name, recipients },
          acceptMissing: values['accept-missing-files'] ?? false,
        }),
      ),
  )
}
