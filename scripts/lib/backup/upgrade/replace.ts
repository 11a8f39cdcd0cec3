// The data of a stack's databases goes into servers of another PostgreSQL major.
import { usageFailure } from '../../cli.ts'
import { readContainers } from '../../compose/containers.ts'
import { runCompose, type ComposeConfig, type Stack } from '../../compose/stack.ts'
import { refuseOtherMajors, type MajorChange } from '../../compose/volumes/majors.ts'
import { loadEnvValues } from '../../env/files.ts'
import { step } from '../../report.ts'
import { root } from '../../repository.ts'
import { planStack } from '../plan.ts'
import {
  dropCommand,
  restoreInto,
  type OpenBackup,
  type RestoreOptions,
} from '../restore/into-stack.ts'
import type { ImageChange } from '../upgrade.ts'
import { keepVolumes, refuseKeptVolumes } from './major.ts'

/** Throws Failure (refused, or usage) for a new PostgreSQL major that the data cannot be taken to. */
export async function refuseUnfitMajors(
  stack: Stack,
  majors: MajorChange[],
  applications: string[],
  hasIdentity: boolean,
): Promise<void> {
  const what = `Upgrade ${stack.project}`
  refuseOtherMajors(
    stack,
    majors.filter(({ from, to }) => to < from),
    what,
  )
  if (
    majors.length &&
    !hasIdentity &&
    loadEnvValues(root, stack.suffix.slice(1), true).BACKUP_RECIPIENTS
  )
    throw usageFailure('a new PostgreSQL major needs --identity: what is backed up is restored')
  await refuseKeptVolumes(majors, dropCommand(stack.mode, applications))
}

export interface ReplaceMajors {
  up: RestoreOptions['up']
  stack: Stack
  all: ComposeConfig
  majors: MajorChange[]
  changes: ImageChange[]
  applications: string[]
  files: string[]
}

/**
 * Takes the data of databases into servers of another major: nobody writes meanwhile, what was written
 * until then is backed up and restored into a new volume, and the old one is kept.
 */
export async function replaceMajors(
  { up, stack, all, majors, changes, applications, files }: ReplaceMajors,
  takeBackup: () => Promise<OpenBackup>,
): Promise<void> {
  const plans = planStack(stack, all).filter(({ folder }) => applications.includes(folder))
  const moved = majors.map(({ store }) => store.service)
  const databases = plans.flatMap(one => one.databases.map(({ service }) => service))
  const own = plans
    .filter(one => one.databases.some(({ service }) => moved.includes(service)))
    .map(({ folder }) => folder)
  const seen = await readContainers(stack.project)
  const writers = plans
    .flatMap(one => one.services)
    .filter(name => seen.has(name) && !databases.includes(name))
  await step('Stop what writes', () =>
    runCompose(stack, ['stop', ...writers], { what: 'Stop what writes' }),
  )
  const backup = await takeBackup()
  await keepVolumes(stack.project, majors, changes)
  await restoreInto(stack, backup, own, {
    ...{ up, live: true, files, databasesOnly: true },
  })
}
