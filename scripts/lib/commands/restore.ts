// Restores a backup into a stack (scripts/restore.ts).
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse } from 'dotenv'
import { usageFailure } from '../cli.ts'
import { requireManifest, type BackupManifest } from '../backup/manifest.ts'
import { readSavedValues, refuseOtherValues } from '../backup/restore/kept-values.ts'
import { dropOldOfEnvironment, restoreEnvironment } from '../backup/kubernetes/restore.ts'
import { drill } from '../backup/restore/drill.ts'
import { refuseUnderway } from '../backup/restore/underway.ts'
import { isHeld, leaveHeld } from '../backup/restore/held.ts'
import { dropCommand, restoreInto, type OpenBackup } from '../backup/restore/into-stack.ts'
import { openBackup, refuseAbsent } from '../backup/restore/open.ts'
import { planStack } from '../backup/plan.ts'
import {
  readSavedEnvFiles,
  selectMissingEnvFiles,
  restoreEnvFiles,
  type SavedEnvFile,
} from '../backup/restore/ready.ts'
import { isEnvironment, readFolders } from '../backup/choose.ts'
import { createComposeRestoreEngine } from '../backup/compose/restore-engine.ts'
import { dropKept } from '../backup/swapping.ts'
import { readContainers, requireEngine } from '../compose/containers.ts'
import { readComposeConfig, stackModes, stackOf, type Stack } from '../compose/stack.ts'
import { findEnvFiles, loadEnvValues, readEnvText } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { emit, formatDuration, printResult, say, step } from '../report.ts'
import { root } from '../repository.ts'
import { runUpCommand } from './up.ts'
import { noteRestore } from '../backup/health/record.ts'
import { withWorkplace } from '../backup/compose/workplace.ts'

interface RestoreArguments {
  values: {
    identity?: string
    target?: string
    'drop-old'?: boolean
    'go-live'?: boolean
    drill?: boolean
    'stay-down'?: boolean
  }
  positionals: string[]
}

/** Restores a backup, lets a restored copy out, tries a restore, or drops what one has kept. */
export async function runRestoreCommand({ values, positionals }: RestoreArguments): Promise<void> {
  const [path, ...words] = values['drop-old'] ? ['', ...positionals] : positionals
  if (values['go-live'] && !isBackup(path)) return goLive(positionals)
  if (path === undefined) throw usageFailure('which backup? Its folder comes first')
  const environment = isEnvironment(values.target, words[0]) ? (words.shift() ?? '') : undefined
  if (environment !== undefined) {
    if (values.drill || values['go-live'])
      throw usageFailure('--drill and --go-live are for stacks on this machine')
    const folders = readFolders(words)
    if (values['drop-old']) return dropOldOfEnvironment(environment, folders)
    const { identity, 'stay-down': stayDown } = values
    return restoreEnvironment(environment, resolve(path), folders, { identity, stayDown })
  }
  if (values['stay-down']) throw usageFailure('--stay-down is for environments on Kubernetes')
  if (values['drop-old']) return dropOld(positionals)
  const since = Date.now()
  const { mode, folders } = readWords(words)
  const stack = stackOf(mode)

  // Pre-flight: nothing is touched.
  const { missing, ...backup } = await openForStack(resolve(path), stack, folders, values.identity)
  await requireEngine()
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
  })
  const { manifest } = backup
  const ms = Date.now() - since
  emit('result', { backup: manifest.name, ms })
  if (plans.length === manifest.applications.length) await noteRestore(backup.folder, manifest, ms)
  say(`  what was there before is kept: ${dropCommand(mode, folders)} removes it`)
  const next = held
    ? `It is held back: no mail and no webhook goes out. Look at it, then: npx zx scripts/restore.ts --go-live ${mode}`
    : `Next: npx zx scripts/smoke.ts ${mode}`
  printResult(`${manifest.name} is restored (${formatDuration(ms)}). ${next}`)
}

/**
 * Opens a backup for a stack; reads only. Out: with it, the env files that are not here. Throws Failure
 * (refused) for what cannot be opened, is damaged, or is of another stack.
 */
export async function openForStack(
  folder: string,
  stack: Stack,
  folders: string[],
  identity: string | undefined,
): Promise<OpenBackup & { missing: SavedEnvFile[] }> {
  const manifest = requireManifest(folder)
  refuseOtherStack(manifest, stack, folders)
  const identities = await openBackup(folder, manifest, identity)
  const missing = await readMissingEnvFiles(folder, manifest, identities, stack)
  return { folder, manifest, identities, missing }
}

function refuseWithoutEnvFiles(missing: SavedEnvFile[]): void {
  if (!missing.length) return
  throw new Failure(exit.refused, 'Try a restore', "the stack's env files are not here", {
    next: 'the same command on the machine of the stack, or without --drill on an empty one',
  })
}

/** Whether a word is a backup's folder, and no mode. */
const isBackup = (word = ''): boolean => existsSync(join(word, 'manifest.json'))

/** Lets a restored copy that is held back out: its workers start, and mail and webhooks go out. */
async function goLive(positionals: string[]): Promise<void> {
  const { mode, folders } = readWords(positionals)
  const stack = stackOf(mode)
  await requireEngine()
  if (!(await isHeld(stack.project)))
    throw new Failure(exit.refused, `Let ${stack.project} go live`, 'nothing of it is held back', {
      next: `npx zx scripts/up.ts ${mode}`,
    })
  await refuseUnderway(stack.project, `Let ${stack.project} go live`)
  await readComposeConfig(stack)
  await leaveHeld(stack.project)
  await runUpCommand({ values: {}, positionals: [mode, ...folders] })
  printResult(`${stack.project} is live. Next: npx zx scripts/smoke.ts ${mode}`)
}

function readWords(words: string[]): { mode: string; folders: string[] } {
  const isMode = stackModes().includes(words[0] ?? '')
  const [mode = 'dev', ...names] = isMode ? words : ['dev', ...words]
  return { mode, folders: readFolders(names) }
}

/**
 * The env files that are to be written; those of an environment on Kubernetes are another stack's.
 * Throws Failure (refused) where the data was written with other values than are here.
 */
async function readMissingEnvFiles(
  folder: string,
  manifest: BackupManifest,
  identities: string[],
  { suffix }: Stack,
): Promise<SavedEnvFile[]> {
  const environment = suffix.slice(1)
  if (!manifest.engine) {
    const saved = await readSavedEnvFiles(folder, manifest, identities)
    return selectMissingEnvFiles(saved, environment)
  }
  loadEnvValues(root, environment)
  const here = new Map(
    findEnvFiles(root, environment).files.map(({ folder, path }) => [
      folder,
      parse(readEnvText(path) ?? ''),
    ]),
  )
  const values = await readSavedValues(folder, manifest, identities)
  const next = `the values of the backup's kubernetes/secrets.json into the env files${suffix && ` ${suffix}`}, while the stack has no data yet, then the same command again`
  refuseOtherValues(values, here, next)
  return []
}

function refuseOtherStack(manifest: BackupManifest, { suffix }: Stack, folders: string[]): void {
  const what = `Read ${manifest.name}`
  if (!manifest.engine && manifest.suffix !== suffix)
    throw new Failure(
      exit.refused,
      what,
      `it is of a stack with the env files .env${manifest.suffix}, not .env${suffix}`,
      {
        next: `the same command with the mode ${manifest.suffix.slice(1) || 'prod'}`,
      },
    )
  refuseAbsent(manifest, folders)
}

async function dropOld(positionals: string[]): Promise<void> {
  const { mode, folders } = readWords(positionals)
  const stack = stackOf(mode)
  await requireEngine()
  await refuseUnderway(stack.project, 'Drop what is kept')
  const all = await readComposeConfig(stack)
  const seen = await readContainers(stack.project)
  const plans = planStack(stack, all).filter(
    ({ folder }) => !folders.length || folders.includes(folder),
  )
  const databases = plans.flatMap(one => one.databases).filter(({ service }) => seen.has(service))
  const image = seen.get(databases[0]?.service ?? '')?.Image
  if (!image)
    throw new Failure(exit.refused, 'Drop what is kept', 'no database runs', {
      next: `npx zx scripts/up.ts ${mode}`,
    })
  await withWorkplace({ project: stack.project, image }, place =>
    step('Drop what was there before the restore', async () => {
      const engine = createComposeRestoreEngine({ stack, all, seen, place })
      await dropKept(engine, plans, databases)
    }),
  )
  printResult('What was there before the restore is gone.')
}
