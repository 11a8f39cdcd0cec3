// Takes a backup of an environment on Kubernetes.
import { loadEnvValues } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import { kubectlArgv } from '../../kubernetes/kubectl.ts'
import { isPodReady, selectKinds, type Manifest } from '../../kubernetes/objects.ts'
import { backupPermissions, findMissingPermissions } from '../../kubernetes/permissions.ts'
import { listObjects } from '../../kubernetes/resources.ts'
import { requireSupportedCluster } from '../../kubernetes/versions.ts'
import { step, warn } from '../../report.ts'
import { root } from '../../repository.ts'
import { constantDelays, pollUntil } from '../../retry.ts'
import {
  findRecipients,
  readFolders,
  refuseElsewhere,
  refuseHalfRestored,
  refuseSystemDisk,
} from '../choose.ts'
import { makeBackup, type BackupOptions, type MakeRequest } from '../make.ts'
import type { BackupManifest } from '../manifest.ts'
import type { PlannedApplication } from '../plan.ts'
import { saveApplications } from '../save.ts'
import { createKubernetesEngine } from './engine.ts'
import { dumperName } from './job.ts'
import { askInPod } from './login.ts'
import { findForeignClaims, planEnvironment, readConfigValues, refuseOutside } from './plan.ts'
import { whileLocked } from './workplace.ts'

/** What a backup or a restore reads of an environment. */
export const backupResources = [
  ...['apps/v1/statefulsets', 'apps/v1/deployments', 'networking.k8s.io/v1/networkpolicies'],
  ...['v1/persistentvolumeclaims', 'v1/pods', 'v1/services', 'v1/secrets', 'v1/configmaps'],
]

/** Takes a backup into a folder of its own in `to`, while no deploy changes the environment. */
export async function backUpEnvironment(
  environment: Environment,
  to: string,
  names: string[],
  values: BackupOptions,
): Promise<BackupManifest> {
  const take = await prepareBackup(environment, to, names, values)
  return whileLocked(environment, 'backup', lock => take(lock.lossFailure))
}

/**
 * Finds out whether a backup can be taken; nothing is touched. Out: the call that takes it, for who holds
 * the lock and removes the Jobs. Throws Failure (refused).
 */
export async function prepareBackup(
  environment: Environment,
  to: string,
  names: string[],
  values: BackupOptions & Pick<MakeRequest, 'quiet'> & { withoutWay?: string },
): Promise<(lossFailure: LockLossCheck) => Promise<BackupManifest>> {
  const settings = loadEnvValues(root, environment.name, true)
  const recipients = await findRecipients(values, settings, `.${environment.name}`)
  if (values['own-disk']) refuseSystemDisk(to)
  await requireSupportedCluster(environment)
  await requireBackupPermissions(environment, backupPermissions)
  const all = await listWhenReady(environment, readFolders(names))
  const plans = choosePlans(environment, all, names)
  refuseElsewhere(plans, readConfigValues(all), values['without-buckets'] ?? false)
  refuseClosedDatabases(environment, all, plans, values.withoutWay)
  for (const one of plans.flatMap(({ databases }) => databases))
    await refuseHalfRestored(one, (...words) => askInPod(environment, one, ...words))

  return lossFailure => {
    const engine = createKubernetesEngine(environment, all, lossFailure)
    const { namespace: project } = environment
    const { 'accept-size': acceptSize = false, quiet = false } = values
    return makeBackup({ project, to, acceptSize, quiet }, (folder, name) =>
      saveApplications({
        ...{ engine, plans, folder, name, recipients },
        acceptMissing: values['accept-missing-files'] ?? false,
      }),
    )
  }
}

/** Throws Failure (refused) when the account may not do what a backup or a restore does. */
export async function requireBackupPermissions(
  environment: Environment,
  rights: string[],
): Promise<void> {
  const denied = await findMissingPermissions(environment, rights)
  if (denied.length)
    throw new Failure(
      exit.refused,
      'Check the permissions of this account',
      `it may not: ${denied.join(', ')}`,
      {
        next: 'an administrator, who brings their roles up to date: kubectl apply -k infra/k8s/cluster; a backup wants the account `backup`, a restore `deployer`',
      },
    )
}

/** ms in which a database that restarts, or whose node is busy, comes back by itself. */
const healMs = 60_000

/** The objects, once the databases are ready or a minute is over. */
async function listWhenReady(environment: Environment, folders: string[]): Promise<Manifest[]> {
  const look = () => listObjects(environment, backupResources)
  const all = await look()
  const down = findUnreadyDatabases(all, folders)
  if (!down.length) return all
  return step(`Wait until ${down.join(', ')} is ready`, () =>
    pollUntil(
      look,
      objects => !findUnreadyDatabases(objects, folders).length,
      constantDelays(2000, healMs),
    ),
  )
}

/** The databases' Services, of these applications or of all, without a pod that is ready. Pure. */
export function findUnreadyDatabases(all: Manifest[], folders: string[]): string[] {
  const ready = selectKinds(all, 'Pod').filter(isPodReady)
  return planEnvironment(all)
    .filter(({ folder }) => !folders.length || folders.includes(folder))
    .flatMap(({ databases }) => databases.map(({ service }) => service))
    .filter(service => !ready.some(({ metadata }) => metadata.name === `${service}-0`))
}

/** The applications that are named, or all. Throws Failure (refused) for what would be missing. */
export function choosePlans(
  environment: Environment,
  all: Manifest[],
  names: string[],
): PlannedApplication[] {
  const folders = readFolders(names)
  const plans = planEnvironment(all)
  const chosen = plans.filter(({ folder }) => !folders.length || folders.includes(folder))
  const what = 'Choose what to back up'
  const next = `npx zx scripts/deploy.ts ${environment.name}`
  const absent = folders.filter(folder => !chosen.some(one => one.folder === folder))
  if (absent.length || !chosen.some(({ databases }) => databases.length)) {
    const why = absent.length ? `${absent.join(', ')} is not there` : 'no database is among them'
    throw new Failure(exit.refused, what, `${why} in ${environment.namespace}`, { next })
  }
  refuseOutside(
    all,
    chosen.map(({ folder }) => folder),
  )
  const down = findUnreadyDatabases(all, folders)
  if (down.length)
    throw new Failure(exit.refused, what, `${down.join(', ')} is not ready`, {
      next: `${kubectlArgv(environment).join(' ')} get pods, or name the applications that a backup is to have`,
    })
  if (!folders.length)
    for (const claim of findForeignClaims(all, plans))
      warn(`not in this backup: the claim ${claim}, which no application mounts`)
  return chosen
}

/** Throws Failure (refused) where a release from before leaves no way to a database. */
export function refuseClosedDatabases(
  environment: Environment,
  all: Manifest[],
  plans: PlannedApplication[],
  next = `npx zx scripts/deploy.ts ${environment.name}`,
): void {
  const closed = plans
    .flatMap(({ databases }) => databases.map(({ database }) => dumperName(database)))
    .filter(name => !all.some(one => one.kind === 'NetworkPolicy' && one.metadata.name === name))
  if (closed.length)
    throw new Failure(
      exit.refused,
      'Look for a way to the databases',
      `there is no NetworkPolicy ${closed.join(', ')}: what serves is of an earlier release`,
      { next },
    )
}
