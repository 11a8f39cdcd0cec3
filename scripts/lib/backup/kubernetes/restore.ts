// Restores a backup into an environment on Kubernetes, lets it out, or drops what it has kept.
import { loadEnvironment, type Environment } from '../../kubernetes/environment.ts'
import { exit, Failure } from '../../errors.ts'
import { restorePermissions } from '../../kubernetes/permissions.ts'
import { listObjects } from '../../kubernetes/resources.ts'
import { environmentGoLiveCommand, findEnvironmentGoLive } from '../../kubernetes/restored/held.ts'
import { requireSupportedCluster } from '../../kubernetes/versions.ts'
import { emit, formatDuration, printResult, say, step } from '../../report.ts'
import { noteRestore } from '../health/record.ts'
import { describeAccess } from '../mask/refuse.ts'
import { planMasked } from '../mask/rules.ts'
import { refuseHalfRestored } from '../choose.ts'
import { describeEarlier } from '../restore/earlier.ts'
import { restoreData } from '../restore.ts'
import { dropKept } from '../swapping.ts'
import {
  backupResources,
  choosePlans,
  refuseClosedDatabases,
  requireBackupPermissions,
} from './backup.ts'
import { isEnvironmentHeld, letOut, listHeldServices } from './held.ts'
import { askInPod } from './login.ts'
import { describeCertificates } from './certificates/restore.ts'
import { openForEnvironment } from './open.ts'
import { createKubernetesRestoreEngine, listStopped } from './restore-engine.ts'
import { startWorkloads } from './scale.ts'
import { clearSwapping, refuseSwapping } from './underway.ts'
import { deleteJob, whileLocked } from './workplace.ts'

const dropCommand = ({ name }: Environment, folders: string[]): string =>
  ['npx zx scripts/restore.ts --drop-old', name, ...folders, '--target kubernetes'].join(' ')

/** How a restore leaves the applications. */
interface RestoredState {
  identity?: string | undefined
  /** They start with their way out; else they are held back. */
  live?: boolean | undefined
  /** They are not started, for the release that serves would migrate what was restored: a rollback starts them. */
  stayDown?: boolean | undefined
  /** Without people. */
  mask?: boolean | undefined
  /** Nobody is asked. */
  yes?: boolean | undefined
}

/** Restores the backup in a folder; a rerun ends what was interrupted. */
export async function restoreEnvironment(
  name: string,
  folder: string,
  folders: string[],
  { identity, live = false, stayDown = false, mask = false, yes = false }: RestoredState,
): Promise<void> {
  const start = Date.now()

  // Pre-flight: nothing is touched.
  const permissions = restorePermissions
  const opened = await openForEnvironment(name, folder, folders, {
    ...{ identity, permissions },
    mask: mask ? { yes } : undefined,
  })
  const { environment, all, manifest, identities } = opened
  const restored = mask ? planMasked(opened.plans, manifest) : { plans: opened.plans, manifest }
  const { plans } = restored
  refuseClosedDatabases(environment, all, plans)

  // Impact.
  const held = !live && !stayDown
  await whileLocked(environment, 'restore', async lock => {
    const engine = createKubernetesRestoreEngine(environment, all, lock.lossFailure, held)
    const drop = dropCommand(environment, folders)
    // one that has left the applications down is not held back: a rollback starts them
    const goLive = findEnvironmentGoLive(environment, all)
    const earlier = describeEarlier(environment.namespace, goLive, folder, manifest)
    const request = { ...restored, engine, folder, identities, dropCommand: drop, earlier }
    const swapped = await restoreData(request)
    await forgetMigrations(
      environment,
      plans.map(({ folder }) => folder),
    )
    if (live) await letOut(environment, all, listStopped(plans), lock.lossFailure)
    const down = held ? listHeldServices() : []
    const started = listStopped(plans).filter(one => !down.includes(one))
    if (!stayDown) await step('Start the applications', () => startWorkloads(environment, started))
    await swapped.finish()
    await clearSwapping(environment)
  })
  const ms = Date.now() - start
  emit('result', { backup: manifest.name, ms })
  if (!folders.length && !mask) await noteRestore(folder, manifest, ms, environment.namespace)
  say(`  what was there before is kept: ${dropCommand(environment, folders)} removes it`)
  const next = !held
    ? `Next: npx zx scripts/${stayDown ? `rollback.ts ${name}: it starts the applications` : `smoke.ts ${name} --target kubernetes`}`
    : `It is held back: no mail and no webhook goes out. Look at it, then: ${environmentGoLiveCommand(name)}`
  const certificates = mask ? undefined : describeCertificates(manifest, folder, name)
  if (certificates)
    say(
      `  Traefik's certificates are in it, too. Where they are missing, an administrator: ${certificates}`,
    )
  if (mask) say(`  ${describeAccess(`${name} --target kubernetes`)}`)
  const without = mask ? ' without its people' : ''
  printResult(`${manifest.name} is restored${without} (${formatDuration(ms)}). ${next}`)
}

/** Lets a restored environment that is held back out: its workers start, and mail and webhooks go out. */
export async function goLiveEnvironment(name: string): Promise<void> {
  const environment = loadEnvironment(name)
  const what = `Let ${environment.namespace} go live`
  await requireSupportedCluster(environment)
  await requireBackupPermissions(environment, restorePermissions)
  const all = await listObjects(environment, backupResources)
  if (!isEnvironmentHeld(all))
    throw new Failure(exit.refused, what, 'nothing of it is held back', {
      next: `npx zx scripts/smoke.ts ${name} --target kubernetes`,
    })
  refuseSwapping(all, what)
  const plans = choosePlans(environment, all, [])
  for (const one of plans.flatMap(({ databases }) => databases))
    await refuseHalfRestored(one, (...words) => askInPod(environment, one, ...words))
  await whileLocked(environment, 'go-live', async lock => {
    const names = listStopped(plans)
    await step('Give the applications their way out', () =>
      letOut(environment, all, names, lock.lossFailure),
    )
    await step('Start what works by itself', () => startWorkloads(environment, names))
  })
  printResult(
    `${environment.namespace} is live. Next: npx zx scripts/smoke.ts ${name} --target kubernetes`,
  )
}

/** What migrations did to the data is undone: the next deploy must not take their Jobs for done. */
async function forgetMigrations(environment: Environment, folders: string[]): Promise<void> {
  const jobs = await listObjects(environment, ['batch/v1/jobs'])
  for (const { metadata } of jobs)
    if (folders.includes(metadata.labels?.['app.kubernetes.io/part-of'] ?? ''))
      await deleteJob(environment, metadata.name)
}

/** Removes what was there before a restore. */
export async function dropOldOfEnvironment(name: string, folders: string[]): Promise<void> {
  const environment = loadEnvironment(name)
  await requireSupportedCluster(environment)
  await requireBackupPermissions(environment, restorePermissions)
  const all = await listObjects(environment, backupResources)
  refuseSwapping(all, 'Drop what is kept')
  const plans = choosePlans(environment, all, folders)
  await whileLocked(environment, 'drop of old data', lock =>
    step('Drop what was there before the restore', () => {
      const engine = createKubernetesRestoreEngine(environment, all, lock.lossFailure)
      return dropKept(
        engine,
        plans,
        plans.flatMap(({ databases }) => databases),
      )
    }),
  )
  printResult('What was there before the restore is gone.')
}
