// Stops a stack (scripts/down.ts).
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { usageFailure } from '../cli.ts'
import { readContainers, requireEngine } from '../compose/containers.ts'
import { refuseOtherOwner } from '../compose/ownership.ts'
import { listProjectVolumes, removeProject } from '../compose/remove.ts'
import { stackOf, type Stack } from '../compose/stack.ts'
import { confirmByName } from '../prompt.ts'
import { emit, printResult, step } from '../report.ts'
import { dockerFolder, listApplications, monitoringFolder } from '../repository.ts'

interface DownArguments {
  values: { purge?: boolean; yes?: boolean }
  positionals: string[]
}

/** Stops the stack of a mode and, with `purge`, removes its data. */
export async function runDownCommand({ values, positionals }: DownArguments): Promise<void> {
  const { purge = false, yes = false } = values
  // nobody who names an application means the whole stack
  if (positionals.length > 1) throw usageFailure('name one mode only: the whole stack is stopped')
  const stack = stackOf(positionals[0] ?? 'dev')
  await requireEngine()
  const volumes = await listProjectVolumes(stack.project)
  if (purge) await refusePurgeByOther(stack)
  if (purge && !yes)
    await confirmByName(
      `Purge ${stack.project}`,
      stack.project,
      'it removes all data',
      `This removes ${volumes.length} volumes with all their data (${volumes.join(', ')}).\n`,
    )

  await step(`${purge ? 'Remove' : 'Stop'} ${stack.project}`, () =>
    removeProject(stack.project, purge),
  )
  if (purge) await removeGeneratedEnvFiles(stack)
  emit('result', { project: stack.project, purged: purge })
  printResult(
    purge
      ? `${stack.project} is removed with all its data.`
      : `${stack.project} is stopped; its ${volumes.length} volumes stay.`,
  )
}

async function refusePurgeByOther(stack: Stack): Promise<void> {
  refuseOtherOwner(
    stack,
    await readContainers(stack.project),
    `Purge ${stack.project}`,
    folder => `make -C ${folder} ${stack.suffix ? `${stack.mode}-down` : 'purge'}`,
  )
}

/** The machine's own settings are a person's work; those of a demo were generated. */
async function removeGeneratedEnvFiles({ suffix }: Stack): Promise<void> {
  if (!suffix) return
  const folders = ['.', ...listApplications()].map(folder => join(dockerFolder, folder))
  const files = [...folders, monitoringFolder].map(folder => join(folder, `.env${suffix}`))
  await Promise.all(files.map(file => rm(file, { force: true })))
}
