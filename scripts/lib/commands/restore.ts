// Restores a backup into a stack (scripts/restore.ts).
import { resolve } from 'node:path'
import { parse } from 'dotenv'
import { usageFailure } from '../cli.ts'
import { requireManifest, type BackupManifest } from '../backup/manifest.ts'
import { readSavedValues, refuseOtherValues } from '../backup/restore/kept-values.ts'
import { dropOldOfEnvironment, restoreEnvironment } from '../backup/kubernetes/restore.ts'
import { chooseSaved, openBackup, refuseAbsent } from '../backup/restore/open.ts'
import { planStack } from '../backup/plan.ts'
import {
  readSavedEnvFiles,
  refuseBlockedReleases,
  selectMissingEnvFiles,
  restoreEnvFiles,
  type SavedEnvFile,
} from '../backup/restore/ready.ts'
import { restoreData } from '../backup/restore.ts'
import { isEnvironment, readFolders } from '../backup/choose.ts'
import { createComposeRestoreEngine } from '../backup/compose/restore-engine.ts'
import { dropKept } from '../backup/swapping.ts'
import {
  listContainers,
  readContainers,
  requireEngine,
  containersByService,
} from '../compose/containers.ts'
import { readComposeConfig, stackModes, stackOf, type Stack } from '../compose/stack.ts'
import { findEnvFiles, loadEnvValues, readEnvText } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { emit, formatDuration, printResult, say, step } from '../report.ts'
import { root } from '../repository.ts'
import { runUpCommand } from './up.ts'
import { noteRestore } from '../backup/health/record.ts'
import { withWorkplace } from '../backup/compose/workplace.ts'

interface RestoreArguments {
  values: { identity?: string; target?: string; 'drop-old'?: boolean }
  positionals: string[]
}

/** Restores a backup, or drops what a restore has kept. */
export async function runRestoreCommand({ values, positionals }: RestoreArguments): Promise<void> {
  const [path, ...words] = values['drop-old'] ? ['', ...positionals] : positionals
  if (path === undefined) throw usageFailure('which backup? Its folder comes first')
  const environment = isEnvironment(values.target, words[0]) ? (words.shift() ?? '') : undefined
  if (environment !== undefined) {
    const folders = readFolders(words)
    if (values['drop-old']) return dropOldOfEnvironment(environment, folders)
    return restoreEnvironment(environment, resolve(path), folders, values.identity)
  }
  if (values['drop-old']) return dropOld(positionals)
  const start = Date.now()
  const { mode, folders } = readWords(words)
  const stack = stackOf(mode)

  // Pre-flight: nothing is touched.
  const folder = resolve(path)
  const manifest = requireManifest(folder)
  refuseOtherStack(manifest, stack, folders)
  const identities = await openBackup(folder, manifest, values.identity)
  const missing = await readMissingEnvFiles(folder, manifest, identities, stack)
  await requireEngine()

  // Impact.
  if (missing.length)
    await step('Write the env files of the backup', () => restoreEnvFiles(missing))
  loadEnvValues(root, stack.suffix.slice(1), true)
  const all = await readComposeConfig(stack)
  await refuseBlockedReleases(
    manifest,
    Object.fromEntries(Object.entries(all.services).map(([name, { image }]) => [name, image])),
  )
  const plans = chooseSaved(manifest, planStack(stack, all), folders)
  const servers = plans.flatMap(({ databases }) => databases.map(({ service }) => service))
  await runUpCommand({ values: {}, positionals: [mode, ...servers] })
  const seen = containersByService(await listContainers(stack.project))
  const image = seen.get(servers[0] ?? '')?.Image ?? ''
  await withWorkplace({ project: stack.project, image }, async place => {
    const dropCommand = `npx zx scripts/restore.ts --drop-old ${mode} ${folders.join(' ')}`.trim()
    const engine = createComposeRestoreEngine({ stack, all, seen, place })
    const request = { engine, plans, folder, manifest, identities, dropCommand }
    const swapped = await restoreData(request)
    await runUpCommand({ values: {}, positionals: [mode, ...folders] })
    await swapped.finish()
    const ms = Date.now() - start
    emit('result', { backup: manifest.name, ms })
    if (plans.length === manifest.applications.length) await noteRestore(folder, manifest, ms)
    say(`  what was there before is kept: ${dropCommand} removes it`)
    printResult(
      `${manifest.name} is restored (${formatDuration(ms)}). Next: npx zx scripts/smoke.ts ${mode}`,
    )
  })
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
