// Upgrades a stack on this machine with a way back (scripts/up.ts --upgrade).
import { resolve } from 'node:path'
import { drill } from '../backup/restore/drill.ts'
import { refuseHeld } from '../backup/restore/held.ts'
import { type OpenBackup } from '../backup/restore/into-stack.ts'
import { findBackups } from '../backup/manifest.ts'
import { planStack } from '../backup/plan.ts'
import { usageFailure } from '../cli.ts'
import { readContainers, requireEngine } from '../compose/containers.ts'
import { selectServices } from '../compose/services.ts'
import { readComposeConfig, stackModes, stackOf, type Stack } from '../compose/stack.ts'
import { findMajorChanges } from '../compose/volumes/majors.ts'
import { databaseVolumesOf } from '../compose/volumes/secrets.ts'
import { loadEnvValues } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { pullOrBuildImages } from '../images/pull-or-build.ts'
import { formatDuration, printResult, say, step, table, warn } from '../report.ts'
import { root } from '../repository.ts'
import { createComposeTarget } from '../smoke/compose-target.ts'
import { productChecks } from '../smoke/checks.ts'
import { failedChecks, passedChecks, type CheckOutcome } from '../smoke/outcome.ts'
import { findImageChanges, refuseForbiddenUpgrades } from '../backup/upgrade.ts'
import { finishMajors, putVolumesBack } from '../backup/upgrade/major.ts'
import { putBack, putInterruptedBack, refuseKeptData } from '../backup/upgrade/put-back.ts'
import { refuseUnfitMajors, replaceMajors } from '../backup/upgrade/replace.ts'
import { runBackupCommand } from './backup.ts'
import { openForStack } from '../backup/restore/for-stack.ts'
import { runUpCommand, type UpArguments } from './up.ts'

/** ms */
const checkTimeoutMs = 60_000

/**
 * Backs up, tries the new release on the backup, starts it and asks the checks; what fails puts the old
 * images back, and with `restore-on-failure` the data.
 */
export async function runUpgradeCommand({ values, positionals }: UpArguments): Promise<void> {
  const isMode = stackModes().includes(positionals[0] ?? '')
  const [mode = 'dev', ...names] = isMode ? positionals : ['dev', ...positionals]
  const files = (values.file ?? []).map(file => resolve(file))
  const stack = stackOf(mode, files)
  const settings = loadEnvValues(root, stack.suffix.slice(1), true)

  // Pre-flight: nothing is touched.
  if (values['restore-on-failure'] && !values.identity && settings.BACKUP_RECIPIENTS)
    throw usageFailure('--restore-on-failure needs --identity: the backup is encrypted')
  await requireEngine()
  await refuseHeld(stack)
  const all = await readComposeConfig(stack)
  await putInterruptedBack({ up: runUpCommand, stack, files, names })
  const services = await selectServices(stack, all, names)
  const changes = await findImageChanges(all, services, await readContainers(stack.project))
  if (!changes.length) {
    say('  every image is the one that runs')
    return runUpCommand({ values, positionals })
  }
  const stores = databaseVolumesOf(all, services, stack.suffix.slice(1))
  const servers = stores.map(({ service }) => service)
  await refuseForbiddenUpgrades(changes.filter(({ service }) => !servers.includes(service)))
  say(
    table([
      ['service', 'runs', 'is to run'],
      ...changes.map(one => [one.service, one.from, one.to]),
    ]),
  )
  const changed = changes.map(({ service }) => service)
  const applications = planStack(stack, all)
    .filter(plan => plan.databases.length && plan.services.some(name => changed.includes(name)))
    .map(({ folder }) => folder)
  if (applications.length && !settings.BACKUP_FOLDER)
    throw new Failure(exit.usage, `Upgrade ${stack.project}`, 'nobody has said where backups go', {
      next: `BACKUP_FOLDER= in infra/docker/.env${stack.suffix}, then the same command`,
    })
  if (values['restore-on-failure']) await refuseKeptData(stack, all, applications)

  // Impact.
  await pullOrBuildImages(stack, all, services)
  const majors = await findMajorChanges(stores, await readContainers(stack.project))
  await refuseUnfitMajors(stack, majors, applications, Boolean(values.identity))
  const backup = applications.length
    ? await backUp(stack, applications, settings.BACKUP_FOLDER!, values.identity)
    : undefined
  if (backup) await rehearse(backup, stack, applications, files)
  const before = await askChecks(mode, applications)
  try {
    if (majors.length)
      await replaceMajors(
        { up: runUpCommand, stack, all, majors, changes, applications, files },
        () => backUp(stack, applications, settings.BACKUP_FOLDER!, values.identity),
      )
    await runUpCommand({ values: { ...values, file: files, restoring: true }, positionals })
    requireSameChecks(before, await askChecks(mode, applications))
    await finishMajors(stack.project)
  } catch (error) {
    const old = await putVolumesBack(stack.project)
    await putBack(
      {
        ...{ up: runUpCommand, stack, changes, backup, applications, files, names },
        ...(old ? { data: 'its own data' } : {}),
        restoreOnFailure: values['restore-on-failure'] ?? false,
      },
      error as Error,
    )
  }
  printResult(`${stack.project} runs ${changed.length} new images.`)
}

/** Takes a backup and opens it; `opens` is false where nobody has given its key. */
async function backUp(
  stack: Stack,
  applications: string[],
  to: string,
  identity: string | undefined,
): Promise<OpenBackup & { opens: boolean }> {
  await runBackupCommand({ values: { to }, positionals: [stack.mode, ...applications] })
  const [newest] = findBackups(to)
    .filter(({ manifest }) => manifest?.project === stack.project)
    .sort((a, b) => b.folder.localeCompare(a.folder))
  const { folder, manifest } = newest!
  if (manifest!.recipients.length && !identity)
    return { folder, manifest: manifest!, identities: [], opens: false }
  return { ...(await openForStack(folder, stack, applications, identity)), opens: true }
}

/** Restores the backup beside the stack with the new release: its migrations meet the data there first. */
async function rehearse(
  { opens, ...backup }: OpenBackup & { opens: boolean },
  stack: Stack,
  applications: string[],
  files: string[],
): Promise<void> {
  if (!opens)
    return warn('the new release is not tried on the data first: --identity FILE opens the backup')
  const what = 'Try the new release on the backup'
  const ms = await step(what, () =>
    drill(backup, stack, applications, { up: runUpCommand, files }),
  ).catch(error => {
    const { why, evidence } = error as Failure
    throw new Failure(exit.refused, what, why ?? (error as Error).message, {
      ...(evidence ? { evidence } : {}),
      serving: 'what served: nothing of it was touched',
      next: 'put the old pins back, or correct what failed',
    })
  })
  say(`  the new release takes the data: ${formatDuration(ms)}`)
}

async function askChecks(mode: string, applications: string[]): Promise<CheckOutcome[]> {
  const checks = await productChecks(createComposeTarget(mode), applications)
  return Promise.all(checks.map(({ ask }) => ask(checkTimeoutMs)))
}

/** Throws Failure (broken) for a check that passed before and does not now. */
function requireSameChecks(before: CheckOutcome[], after: CheckOutcome[]): void {
  const passed = passedChecks(before).map(({ name }) => name)
  const lost = failedChecks(after).filter(({ name }) => passed.includes(name))
  if (lost.length)
    throw new Failure(exit.broken, 'Ask the checks', `${lost[0]!.name}: ${lost[0]!.detail}`, {
      evidence: lost.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
    })
}
