// What follows a restore into a stack: it goes live, and what it has kept goes.
import { isHeld, readContainers, requireEngine } from '../../compose/containers.ts'
import { readComposeConfig, type Stack } from '../../compose/stack.ts'
import { loadEnvValues } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import { printResult, step, warn } from '../../report.ts'
import { root } from '../../repository.ts'
import { createComposeRestoreEngine } from '../compose/restore-engine.ts'
import { withWorkplace } from '../compose/workplace.ts'
import { planStack } from '../plan.ts'
import { dropKept } from '../swapping.ts'
import { dropKeptVolumes } from '../upgrade/major.ts'
import { leaveHeld } from './held.ts'
import type { RestoreOptions } from './into-stack.ts'
import { refuseUnderway } from './underway.ts'

/**
 * Lets a restored stack that is held back out: its workers start, and mail and webhooks go out. Throws
 * Failure (refused) where nothing is held back, or a restore is under way.
 */
export async function goLiveStack(
  stack: Stack,
  folders: string[],
  up: RestoreOptions['up'],
): Promise<void> {
  const { mode, project, suffix } = stack
  await requireEngine()
  if (!(await isHeld(project)))
    throw new Failure(exit.refused, `Let ${project} go live`, 'nothing of it is held back', {
      next: `npx zx scripts/up.ts ${mode}`,
    })
  await refuseUnderway(project, `Let ${project} go live`)
  // files that Compose cannot read are a reason to stay held back
  await readComposeConfig(stack)
  await leaveHeld(project)
  await up({ values: {}, positionals: [mode, ...folders] })
  const missing = listMissingSettings(loadEnvValues(root, suffix.slice(1), true))
  if (missing.length)
    warn(
      `no backup of it is taken until infra/docker/.env${suffix} has ${missing.join(' and ')} (docs/backup.md)`,
    )
  printResult(`${project} is live. Next: npx zx scripts/smoke.ts ${mode}`)
}

/** What backups of a stack need and is not set. Pure. */
export const listMissingSettings = (settings: Record<string, string>): string[] =>
  ['BACKUP_FOLDER', 'BACKUP_RECIPIENTS'].filter(key => !settings[key])

/** Removes what a restore has kept of these folders, of all without one. Throws Failure (refused) without a database that runs. */
export async function dropOldOfStack(stack: Stack, folders: string[]): Promise<void> {
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
      next: `npx zx scripts/up.ts ${stack.mode}`,
    })
  await withWorkplace({ project: stack.project, image }, place =>
    step('Drop what was there before the restore', async () => {
      const engine = createComposeRestoreEngine({ stack, all, seen, place })
      await dropKept(engine, plans, databases)
      await dropKeptVolumes(databases.map(({ volume }) => volume))
    }),
  )
  printResult('What was there before the restore is gone.')
}
