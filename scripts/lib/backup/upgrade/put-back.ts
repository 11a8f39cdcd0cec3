// What an upgrade that failed, or was interrupted, leaves serving.
import { readContainers } from '../../compose/containers.ts'
import { stackOf, type ComposeConfig, type Stack } from '../../compose/stack.ts'
import { exit, Failure } from '../../errors.ts'
import { warn } from '../../report.ts'
import { asking } from '../compose/restore-engine.ts'
import { planStack } from '../plan.ts'
import {
  dropCommand,
  restoreInto,
  type OpenBackup,
  type RestoreOptions,
} from '../restore/into-stack.ts'
import { refuseOtherRestore } from '../restore/earlier.ts'
import { readDatabaseState } from '../swapping.ts'
import { withImages, type ImageChange } from '../upgrade.ts'
import { putVolumesBack } from './major.ts'

export interface PutBack {
  up: RestoreOptions['up']
  /** The old images get it, and nothing is lost. */
  data?: string
  stack: Stack
  changes: ImageChange[]
  backup: (OpenBackup & { opens: boolean }) | undefined
  applications: string[]
  files: string[]
  /** The data of the backup is to go back, too. */
  restoreOnFailure: boolean
  names: string[]
}

/** Starts the old images; the data, too, when that was asked for. Throws what happened. */
export async function putBack(
  { up, stack, changes, backup, applications, files, restoreOnFailure, names, data }: PutBack,
  cause: Error,
): Promise<never> {
  const { what, why = cause.message, evidence } = cause as Partial<Failure>
  const failed = `${what ?? 'the new release'}: ${why}`
  warn(`${failed}; the old images go back`)
  const since = backup ? `what was written since ${backup.manifest.created}` : ''
  const restores = !data && restoreOnFailure && backup?.opens
  const without = data ? `, on ${data}` : ', on the data as the new release has left it'
  try {
    await withImages(changes, async file => {
      const old = [...files, file]
      if (restores)
        await restoreInto(stackOf(stack.mode, old), backup, applications, {
          up,
          live: true,
          files: old,
        })
      else await up({ values: { file: old }, positionals: [stack.mode, ...names] })
    })
  } catch (error) {
    throw new Failure(exit.broken, `Upgrade ${stack.project}`, failed, {
      evidence: [evidence, `the old images do not start: ${(error as Failure).why}`].join('\n'),
      next: `npx zx scripts/restore.ts ${backup?.folder ?? 'BACKUP'} ${stack.mode} ${applications.join(' ')} --go-live, with the old pins; it loses ${since}`,
    })
  }
  throw new Failure(exit.rolledBack, `Upgrade ${stack.project}`, failed, {
    ...(evidence ? { evidence } : {}),
    serving: `the old images${restores ? `, with the data of the backup; lost is ${since}` : without}`,
    next: `put the old pins back, or correct what failed${restores ? `; what the new release has left is kept: ${dropCommand(stack.mode, applications)} removes it` : ''}`,
  })
}

/** Throws Failure (refused) where data could not be put back, since what was there before an earlier restore is kept. */
export async function refuseKeptData(
  stack: Stack,
  all: ComposeConfig,
  applications: string[],
): Promise<void> {
  const seen = await readContainers(stack.project)
  const databases = planStack(stack, all)
    .filter(({ folder }) => applications.includes(folder))
    .flatMap(plan => plan.databases)
  const states = databases.flatMap(one => {
    const server = seen.get(one.service)
    return server?.State.Status === 'running' ? [readDatabaseState(one, asking(server))] : []
  })
  refuseOtherRestore(await Promise.all(states), '', dropCommand(stack.mode, applications))
}

/** What an upgrade to another PostgreSQL major that was interrupted has moved away comes back, with the old images. */
export async function putInterruptedBack({
  up,
  stack,
  files,
  names,
}: Pick<PutBack, 'up' | 'stack' | 'files' | 'names'>): Promise<void> {
  const changes = await putVolumesBack(stack.project)
  if (!changes) return
  warn('an upgrade was interrupted: its old data is back, and the old images start on it')
  await withImages(changes, file =>
    up({ values: { file: [...files, file] }, positionals: [stack.mode, ...names] }),
  )
}
