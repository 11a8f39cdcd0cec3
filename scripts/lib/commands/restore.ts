// Restores a backup into a stack (scripts/restore.ts).
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { usageFailure } from '../cli.ts'
import { dropOldOfStack, goLiveStack } from '../backup/restore/after.ts'
import { drill } from '../backup/restore/drill.ts'
import { openForStack } from '../backup/restore/for-stack.ts'
import { dropCommand, restoreInto } from '../backup/restore/into-stack.ts'
import { fetchBackup, isElsewhere } from '../backup/off-site/fetch.ts'
import { restoreEnvFiles, type SavedEnvFile } from '../backup/restore/ready.ts'
import { refuseUnnamed } from '../backup/restore/unnamed.ts'
import { isEnvironment, readFolders } from '../backup/choose.ts'
import { describeAccess, refuseMaskedStack } from '../backup/mask/refuse.ts'
import { goLiveCommand, requireEngine } from '../compose/containers.ts'
import { stackOf } from '../compose/stack.ts'
import { loadEnvValues } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { emit, formatDuration, printResult, say, step } from '../report.ts'
import { root } from '../repository.ts'
import { readStackWords, type RestoreArguments } from './restore/options.ts'
import { refuseWithoutMoveIn, runMoveIn } from './restore/move-in.ts'
import { runUpCommand } from './up.ts'
import { noteRestore } from '../backup/health/record.ts'

// what only other verbs and Kubernetes need is no part of a restore's memory
const onKubernetes = () => import('../backup/kubernetes/restore.ts')

/** Restores a backup, lets a restored copy out, tries a restore, or drops what one has kept. */
export async function runRestoreCommand({
  values,
  positionals,
}: {
  values: RestoreArguments
  positionals: string[]
}): Promise<void> {
  if (values['from-compose']) return runMoveIn(values['from-compose'], values, positionals)
  refuseWithoutMoveIn(values)
  if (values.certificates) refuseBesideCertificates(values)
  const [path, ...words] = values['drop-old'] ? ['', ...positionals] : positionals
  if (values['go-live'] && !isBackup(path)) return goLive(positionals, values.target)
  if (values.to && !isElsewhere(path))
    throw usageFailure('--to goes with a backup in a bucket, and with --from-compose')
  if (path === undefined) throw usageFailure('which backup? Its folder comes first')
  if (values.yes && !values.mask) throw usageFailure('--yes goes with --mask')
  if (values.mask && (values.drill || values['drop-old']))
    throw usageFailure('--mask goes with a restore that stays')
  if (values.certificates) return bringCertificates(path, values, words)
  if (isEnvironment(values.target, words[0])) return restoreEnvironmentFrom(path, values, words)
  return restoreStackFrom(path, values, words)
}

/** All that a backup's folder is asked for in an environment on Kubernetes. */
async function restoreEnvironmentFrom(
  path: string,
  values: RestoreArguments,
  [environment = '', ...words]: string[],
): Promise<void> {
  const folders = readFolders(words)
  if (values['drop-old']) return (await onKubernetes()).dropOldOfEnvironment(environment, folders)
  const { identity, 'go-live': live, 'stay-down': stayDown, mask, yes } = values
  if (live && stayDown) throw usageFailure('either --go-live or --stay-down')
  if (values.drill && (live || stayDown))
    throw usageFailure('--drill leaves nothing that could go live or stay down')
  const folder = await findFolder(path, values.to, `.${environment}`)
  if (values.drill) {
    const { drillEnvironment } = await import('../backup/kubernetes/drill/drill.ts')
    return drillEnvironment(environment, folder, folders, identity)
  }
  const { restoreEnvironment } = await onKubernetes()
  return restoreEnvironment(environment, folder, folders, { identity, live, stayDown, mask, yes })
}

/** All that a backup's folder is asked for in a stack on this machine. */
async function restoreStackFrom(
  path: string,
  values: RestoreArguments,
  words: string[],
): Promise<void> {
  if (values['stay-down']) throw usageFailure('--stay-down is for environments on Kubernetes')
  const since = Date.now()
  const { mode, folders, isNamed } = readStackWords(words)
  const stack = stackOf(mode)
  if (values['drop-old']) {
    if (!isNamed) await refuseUnnamed('--drop-old')
    return dropOldOfStack(stack, folders)
  }

  // Pre-flight: nothing is touched.
  const folder = await findFolder(path, values.to, stack.suffix)
  const { mask = false, identity } = values
  const { missing, ...backup } = await openForStack(folder, stack, folders, identity, mask)
  await requireEngine()
  if (mask) await refuseMaskedStack(stack, backup, values.yes ?? false)
  if (values.drill) {
    refuseWithoutEnvFiles(missing)
    await drill(backup, stack, folders, { up: runUpCommand })
    return
  }

  // Impact.
  if (missing.length)
    await step('Write the env files of the backup', () => restoreEnvFiles(missing))
  const { held, plans } = await restoreInto(stack, backup, folders, {
    up: runUpCommand,
    live: values['go-live'] ?? false,
    mask,
  })
  const { manifest } = backup
  const ms = Date.now() - since
  emit('result', { backup: manifest.name, ms })
  const whole = plans.length === manifest.applications.length
  if (whole && !mask) await noteRestore(backup.folder, manifest, ms, stack.project)
  say(`  what was there before is kept: ${dropCommand(mode, folders)} removes it`)
  const next = held
    ? `It is held back: no mail and no webhook goes out. Look at it, then: ${goLiveCommand(mode)}`
    : `Next: npx zx scripts/smoke.ts ${mode}`
  if (mask) say(`  ${describeAccess(mode)}`)
  printResult(
    `${manifest.name} is restored${mask ? ' without its people' : ''} (${formatDuration(ms)}). ${next}`,
  )
}

function refuseBesideCertificates(values: RestoreArguments): void {
  for (const name of ['drill', 'drop-old', 'mask', 'go-live', 'stay-down'] as const)
    if (values[name]) throw usageFailure(`--${name} does not go with --certificates`)
}

/** Gives Traefik on Kubernetes the certificates of a backup, and restores nothing else. */
async function bringCertificates(
  path: string,
  values: RestoreArguments,
  words: string[],
): Promise<void> {
  const [environment = '', ...rest] = words
  if (!isEnvironment(values.target, environment))
    throw usageFailure(
      '--certificates is for environments on Kubernetes: on Compose they come back with their volume',
    )
  if (rest.length) throw usageFailure('certificates are those of a whole environment')
  const folder = await findFolder(path, values.to, `.${environment}`)
  const { restoreCertificates } = await import('../backup/kubernetes/certificates/restore.ts')
  return restoreCertificates(environment, folder, values.identity)
}

function refuseWithoutEnvFiles(missing: SavedEnvFile[]): void {
  if (!missing.length) return
  throw new Failure(exit.refused, 'Try a restore', "the stack's env files are not here", {
    next: 'the same command on the machine of the stack, or without --drill on an empty one',
  })
}

/** Whether a word is a backup's folder, and no mode. */
const isBackup = (word = ''): boolean =>
  isElsewhere(word) || existsSync(join(word, 'manifest.json'))

/** The folder of a backup; one that is in a bucket is fetched. */
async function findFolder(path: string, to: string | undefined, suffix: string): Promise<string> {
  if (!isElsewhere(path)) return resolve(path)
  const settings = loadEnvValues(root, suffix.slice(1), true)
  return fetchBackup(path, resolve(to || settings.BACKUP_FOLDER || 'backups'), settings)
}

/** Lets what was restored out: a stack, or an environment. */
async function goLive(positionals: string[], target?: string): Promise<void> {
  if (!isEnvironment(target, positionals[0])) {
    const { mode, folders, isNamed } = readStackWords(positionals)
    if (!isNamed) await refuseUnnamed('--go-live')
    return goLiveStack(stackOf(mode), folders, runUpCommand)
  }
  const [name = '', ...rest] = positionals
  if (rest.length) throw usageFailure('an environment goes live as a whole')
  return (await onKubernetes()).goLiveEnvironment(name)
}
