// Restores a backup into a stack (scripts/restore.ts).
import { resolve } from 'node:path'
import { usageFailure } from '../cli.ts'
import { readIdentities, requireOpenable } from '../backup/encryption.ts'
import { requireManifest, requireWhole, type BackupManifest } from '../backup/manifest.ts'
import { planStack, type PlannedApplication } from '../backup/plan.ts'
import {
  readSavedEnvFiles,
  refuseBlockedReleases,
  selectMissingEnvFiles,
  restoreEnvFiles,
} from '../backup/ready.ts'
import { restoreData } from '../backup/restore.ts'
import { dropOldDatabase, hasVolume, stepVolume } from '../backup/swapping.ts'
import {
  listContainers,
  readContainers,
  requireEngine,
  containersByService,
} from '../compose/containers.ts'
import { readComposeConfig, stackModes, stackOf, type Stack } from '../compose/stack.ts'
import { loadEnvValues } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { emit, formatDuration, printResult, say, step } from '../report.ts'
import { findApplicationFolder, root } from '../repository.ts'
import { runUpCommand } from './up.ts'
import { noteRestore } from '../backup/health/record.ts'
import { withWorkplace } from '../backup/workplace.ts'

interface RestoreArguments {
  values: { identity?: string; 'drop-old'?: boolean }
  positionals: string[]
}

/** Restores a backup, or drops what a restore has kept. */
export async function runRestoreCommand({ values, positionals }: RestoreArguments): Promise<void> {
  if (values['drop-old']) return dropOld(positionals)
  const [path, ...words] = positionals
  if (!path) throw usageFailure('which backup? Its folder comes first')
  const start = Date.now()
  const { mode, folders } = readWords(words)
  const stack = stackOf(mode)
  const folder = resolve(path)

  // Pre-flight: nothing is touched.
  const manifest = requireManifest(folder)
  refuseOtherStack(manifest, stack, folders)
  await step(`Check ${manifest.name}`, () => requireWhole(folder, manifest))
  const identities = manifest.recipients.length ? readIdentities(values.identity) : []
  if (identities.length)
    for (const { stored } of manifest.files)
      await requireOpenable(resolve(folder, stored.path), identities)
  const saved = await readSavedEnvFiles(folder, manifest, identities)
  const missing = selectMissingEnvFiles(saved, stack.suffix.slice(1))
  await requireEngine()

  // Impact.
  if (missing.length)
    await step('Write the env files of the backup', () => restoreEnvFiles(missing))
  loadEnvValues(root, stack.suffix.slice(1), true)
  const all = await readComposeConfig(stack)
  await refuseBlockedReleases(manifest, all)
  const plans = chooseSaved(manifest, planStack(stack, all), folders)
  const servers = plans.flatMap(({ databases }) => databases.map(({ service }) => service))
  await runUpCommand({ values: {}, positionals: [mode, ...servers] })
  const seen = containersByService(await listContainers(stack.project))
  const image = seen.get(servers[0] ?? '')?.Image ?? ''
  await withWorkplace({ project: stack.project, image }, async place => {
    const dropCommand = `npx zx scripts/restore.ts --drop-old ${mode} ${folders.join(' ')}`.trim()
    const request = { stack, all, seen, plans, place, folder, manifest, identities, dropCommand }
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
  const folders = names.map(name => {
    const folder = findApplicationFolder(name)
    if (!folder) throw usageFailure(`${name} is no application: no folder of infra/docker`)
    return folder
  })
  return { mode, folders }
}

function refuseOtherStack(manifest: BackupManifest, { suffix }: Stack, folders: string[]): void {
  const what = `Read ${manifest.name}`
  if (manifest.suffix !== suffix)
    throw new Failure(
      exit.refused,
      what,
      `it is of a stack with the env files .env${manifest.suffix}, not .env${suffix}`,
      {
        next: `the same command with the mode ${manifest.suffix.slice(1) || 'prod'}`,
      },
    )
  const absent = folders.filter(folder => !manifest.applications.includes(folder))
  if (absent.length)
    throw new Failure(exit.refused, what, `it does not have ${absent.join(', ')}`, {
      next: `it has ${manifest.applications.join(', ')}`,
    })
}

/** What of this stack the backup has. Throws Failure (refused) where this release has other databases or volumes than were saved. */
function chooseSaved(
  manifest: BackupManifest,
  plans: PlannedApplication[],
  folders: string[],
): PlannedApplication[] {
  const wanted = folders.length ? folders : manifest.applications
  const chosen = plans.filter(({ folder }) => wanted.includes(folder))
  const here = chosen.flatMap(({ databases, files }) => [
    ...databases.map(({ database }) => database),
    ...files.map(({ key }) => key),
  ])
  const saved = [...manifest.databases, ...manifest.volumes]
    .filter(({ application }) => wanted.includes(application))
    .map(one => ('database' in one ? one.database : one.volume))
  const unlike = [
    ...here.filter(name => !saved.includes(name)),
    ...saved.filter(name => !here.includes(name)),
  ]
  if (unlike.length)
    throw new Failure(
      exit.refused,
      `Read ${manifest.name}`,
      `the backup or this release does not have ${unlike.join(', ')}`,
      {
        next: `restore with the release that it was taken from: ${manifest.toolkit}`,
      },
    )
  if (!chosen.some(({ databases }) => databases.length))
    throw new Failure(exit.refused, `Read ${manifest.name}`, 'no database is among them', {
      next: 'name an application with a database, too',
    })
  return chosen
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
      for (const one of databases) await dropOldDatabase(one, seen.get(one.service)!)
      for (const one of plans.flatMap(({ files, leftOut }) => [...files, ...leftOut]))
        if (await hasVolume(one)) await stepVolume(place, 'drop', one)
    }),
  )
  printResult('What was there before the restore is gone.')
}
