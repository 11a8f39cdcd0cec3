// Moves applications in from another stack on this machine: a backup of it, proven, and its restore.
import { join } from 'node:path'
import { readContainers, requireEngine } from '../../compose/containers.ts'
import type { Stack } from '../../compose/stack.ts'
import { loadEnvValues } from '../../env/files.ts'
import { writeEnvFiles } from '../../env/write.ts'
import { Failure } from '../../errors.ts'
import { pullOrBuildImages } from '../../images/pull-or-build.ts'
import { emit, formatDuration, printResult, say, step, warn } from '../../report.ts'
import { root } from '../../repository.ts'
import { createComposeTarget } from '../../smoke/compose-target.ts'
import { findRecipients, requireFolder } from '../choose.ts'
import { asking } from '../compose/restore-engine.ts'
import { withWorkplace } from '../compose/workplace.ts'
import { readIdentities } from '../encryption.ts'
import { withLock } from '../lock.ts'
import { makeBackup } from '../make.ts'
import type { BackupManifest } from '../manifest.ts'
import { openForStack } from '../restore/for-stack.ts'
import { dropCommand, restoreInto, type RestoreOptions } from '../restore/into-stack.ts'
import { refuseOtherRestore } from '../restore/earlier.ts'
import { refuseUnderway } from '../restore/underway.ts'
import { saveApplications } from '../save.ts'
import { readDatabaseState } from '../swapping.ts'
import { createMoveInEngine, type MoveInRequest } from './engine.ts'
import { listLeftVolumes } from './find.ts'
import { findMoves, listWrittenFolders, refuseMissingPorts, type MoveInSource } from './look.ts'
import { planValues } from './values.ts'

export interface MoveInOptions extends MoveInSource {
  /** Where the backup goes; else BACKUP_FOLDER. */
  to: string | undefined
  identity: string | undefined
  /** Files that rows name may be missing. */
  acceptMissing: boolean
  /** Nothing is held back. */
  live: boolean
  up: RestoreOptions['up']
}

/**
 * Takes a backup of another stack, which is only read, and restores it here. Throws Failure (refused)
 * before anything is touched, (5) when the backup or its restore fails.
 */
export async function moveIn(stack: Stack, options: MoveInOptions): Promise<void> {
  const since = Date.now()
  const { project, mode, suffix } = stack

  // Pre-flight: nothing is touched.
  await requireEngine()
  await refuseUnderway(project, `Move in to ${project}`)
  const { all, olds, moves, beside } = await findMoves(stack, options)
  const settings = loadEnvValues(root, suffix.slice(1))
  const to = requireFolder(options.to, settings, suffix)
  const recipients = await findRecipients({}, settings, suffix)
  await readIdentities(options.identity)
  const values = planValues(moves, olds, suffix.slice(1), await listWrittenFolders(moves))
  const names = moves.map(({ plan }) => plan.folder)
  const folders = options.folders.length ? names : []
  const planned = moves.flatMap(({ plan }) => plan.databases)
  const seen = await readContainers(project)
  const states = planned
    .filter(({ service }) => seen.get(service)?.State.Status === 'running')
    .map(one => readDatabaseState(one, asking(seen.get(one.service)!)))
  refuseOtherRestore(await Promise.all(states), '', dropCommand(mode, folders))
  await refuseMissingPorts(stack, all, folders.length ? [...folders, ...beside] : [], seen)
  await pullOrBuildImages(
    stack,
    all,
    planned.map(({ service }) => service),
  )

  // Impact.
  const peopled = new Set<string>()
  const { whileRunning, acceptMissing } = options
  const manifest = await takeOver(to, recipients, acceptMissing, {
    ...{ stack, all, moves, olds, values, whileRunning, peopled },
  })
  if (values.taken.length)
    await step('Take keys over into the env files', () => writeEnvFiles(values.changes))
  for (const one of values.taken) say(`  ${one}`)
  await restore(stack, options, join(to, manifest.name), folders, beside)
  await openDoors(
    mode,
    names.filter(name => peopled.has(name)),
  )
  const left = listLeftVolumes(olds, moves)
  if (left.length) say(`  not taken, and still there: ${left.join(', ')}`)
  say(`  the backup of it, proven: ${join(to, manifest.name)}`)
  reportMove(manifest, stack, Date.now() - since, options)
}

/** Takes a backup of the stack there as one of this. */
const takeOver = (
  to: string,
  recipients: string[],
  acceptMissing: boolean,
  request: Omit<MoveInRequest, 'place'>,
): Promise<BackupManifest> => {
  const { stack, all, moves } = request
  const { project } = stack
  const plans = moves.map(({ plan }) => plan)
  const image = all.services[plans[0]!.databases[0]!.service]!.image!
  return withLock(project, () =>
    // what this stack has had until now says nothing of that one's size
    makeBackup({ project, to, acceptSize: true, before: [], quiet: true }, (folder, name) =>
      withWorkplace({ project, image }, place =>
        saveApplications({
          engine: createMoveInEngine({ ...request, place }),
          ...{ plans, folder, name, recipients, acceptMissing },
        }),
      ),
    ),
  )
}

async function restore(
  stack: Stack,
  { up, live, identity }: MoveInOptions,
  folder: string,
  folders: string[],
  also: string[],
): Promise<void> {
  try {
    const backup = await openForStack(folder, stack, folders, identity)
    await restoreInto(stack, backup, folders, { up, live, also })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { code, what, why, evidence, serving } = error
    const words = [folder, stack.mode, ...folders].join(' ')
    throw new Failure(code, what, why, {
      ...{ evidence, serving },
      next: `npx zx scripts/restore.ts ${words} --identity FILE: what was taken over is there and proven, and this goes on with it`,
    })
  }
}

/** The edge serves at once what has an administrator; what it does not, `make admin` opens. */
async function openDoors(mode: string, folders: string[]): Promise<void> {
  const target = createComposeTarget(mode)
  for (const folder of folders) {
    const words = await target.open(folder).catch((error: Error) => error.message)
    if (words) say(`  ${folder}: ${words}`)
  }
}

function reportMove(
  { name, databases }: BackupManifest,
  { mode }: Stack,
  ms: number,
  { from, whileRunning, live }: MoveInOptions,
): void {
  const rows = databases.reduce((sum, one) => sum + one.rows, 0)
  emit('result', { backup: name, ms, databases: databases.map(({ database }) => database), rows })
  if (whileRunning) warn('the stack there has gone on: this was a try, not the move')
  say(`  to go back: ${from.join(', ')} is as it was; start it again there`)
  printResult(
    `${databases.map(({ database }) => database).join(', ')} moved in with ${rows} rows (${formatDuration(ms)}). ${
      live
        ? `Next: npx zx scripts/smoke.ts ${mode}`
        : `It is held back: no mail and no webhook goes out. Look at it, then: npx zx scripts/restore.ts --go-live ${mode}`
    }`,
  )
}
