// Restores a backup's applications into a stack that may be there or not.
import {
  containersByService,
  goLiveCommand,
  isHeld,
  listContainers,
  readContainers,
  type Container,
} from '../../compose/containers.ts'
import { readComposeConfig, type Stack } from '../../compose/stack.ts'
import { loadEnvValues } from '../../env/files.ts'
import { warn } from '../../report.ts'
import { root } from '../../repository.ts'
import { clearUnderway } from './underway.ts'
import { heldFiles, leaveHeld, leaveOutside } from './held.ts'
import type { BackupManifest } from '../manifest.ts'
import { planMasked } from '../mask/rules.ts'
import { planStack, type PlannedApplication } from '../plan.ts'
import { describeEarlier } from './earlier.ts'
import { refuseBlockedReleases } from './ready.ts'
import { chooseSaved } from './open.ts'
import { restoreData } from '../restore.ts'
import { createComposeRestoreEngine } from '../compose/restore-engine.ts'
import { withWorkplace } from '../compose/workplace.ts'

/** A backup that can be opened and is whole. */
export interface OpenBackup {
  folder: string
  manifest: BackupManifest
  identities: string[]
}

/** The command that drops what a restore has kept. */
export const dropCommand = (mode: string, folders: string[]): string =>
  `npx zx scripts/restore.ts --drop-old ${mode} ${folders.join(' ')}`.trim()

export interface RestoreOptions {
  /** Starts services of the mode that the first word names (scripts/up.ts). */
  up: (given: {
    values: { file?: string[]; restoring?: boolean }
    positionals: string[]
  }) => Promise<void>
  /** Nothing is held back. */
  live: boolean
  /** Further Compose files. */
  files?: string[]
  /** Files and queues stay as they are. */
  databasesOnly?: boolean
  /** Without people. */
  mask?: boolean
  /** Folders that start with those that are restored. */
  also?: string[]
}

/** Restores applications into a stack. */
export async function restoreInto(
  stack: Stack,
  { folder, manifest, identities }: OpenBackup,
  folders: string[],
  { up, live, files = [], also = [], databasesOnly = false, mask = false }: RestoreOptions,
): Promise<{ held: boolean; plans: PlannedApplication[] }> {
  const { mode, project } = stack
  loadEnvValues(root, stack.suffix.slice(1), true)
  const all = await readComposeConfig(stack)
  await refuseBlockedReleases(
    manifest,
    Object.fromEntries(Object.entries(all.services).map(([name, { image }]) => [name, image])),
  )
  const chosen = chooseSaved(manifest, planStack(stack, all), folders)
  const wanted = databasesOnly ? chosen.map(one => ({ ...one, files: [], leftOut: [] })) : chosen
  const restored = mask ? planMasked(wanted, manifest) : { plans: wanted, manifest }
  const { plans } = restored
  const servers = plans.flatMap(({ databases }) => databases.map(({ service }) => service))
  const others = listOthers(plans, await readContainers(project))
  const held = !others.length && !live
  if (others.length)
    warn(`what is restored goes live at once, since other applications run: ${others.join(', ')}`)
  // before the start: that makes the network which says so
  const wasHeld = await isHeld(project)
  const heldBack = held || wasHeld ? heldFiles(stack) : []
  const start = { file: [...files, ...heldBack], restoring: true }
  await up({ values: start, positionals: [mode, ...servers] })
  const seen = containersByService(await listContainers(project))
  const image = seen.get(servers[0] ?? '')?.Image ?? ''
  await withWorkplace({ project, image }, async place => {
    const swapped = await restoreData({
      engine: createComposeRestoreEngine({ stack, all, seen, place }),
      ...{ ...restored, folder, identities },
      dropCommand: dropCommand(mode, folders),
      earlier: describeEarlier(
        project,
        wasHeld ? goLiveCommand(mode) : undefined,
        folder,
        manifest,
      ),
    })
    if (held) await leaveOutside(stack, all)
    else await leaveHeld(project)
    await up({
      values: held ? start : { file: files, restoring: true },
      positionals: [mode, ...folders, ...also],
    })
    await swapped.finish()
    await clearUnderway(project)
  })
  return { held, plans }
}

/** Services that run of applications that are not restored: they would lose their way out, too. */
function listOthers(plans: PlannedApplication[], seen: Map<string, Container>): string[] {
  const own = plans.flatMap(({ services }) => services)
  return [...seen]
    .filter(([name, { State }]) => State.Status === 'running' && !own.includes(name))
    .map(([name]) => name)
}
