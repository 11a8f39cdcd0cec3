// A restore in an environment that is tried: one application after the other, beside itself in the same
// namespace, so that it takes no right that a restore does not have, and no Secret is written.
import type { HostAlias } from 'kubernetes-types/core/v1.js'
import { exit, Failure } from '../../../errors.ts'
import type { Lock } from '../../../deploy/lock/lock.ts'
import type { Manifest } from '../../../kubernetes/objects.ts'
import { drillPermissions } from '../../../kubernetes/permissions.ts'
import { findCurrentRelease, readReleases } from '../../../kubernetes/releases.ts'
import { listObjects } from '../../../kubernetes/resources.ts'
import { step, warn } from '../../../report.ts'
import { waitForRollout } from '../../../rollout/wait.ts'
import { reportDrill } from '../../restore/drill.ts'
import { restoreData } from '../../restore.ts'
import type { PlannedApplication } from '../../plan.ts'
import { openForEnvironment, type OpenForEnvironment } from '../open.ts'
import { createObject } from '../place.ts'
import { findUserOf } from '../plan.ts'
import { createKubernetesRestoreEngine } from '../restore-engine.ts'
import { underLock, withJobsRemoved } from '../workplace.ts'
import { requireGone } from './gone.ts'
import { createDrillPolicies } from './isolation.ts'
import {
  createDrillClaim,
  createDrillServices,
  createDrillWorkload,
  createHostAliases,
  drillName,
  isDataServer,
  listClaimNames,
  planDrill,
  selectDrilled,
  type DrillOwner,
} from './objects.ts'
import { refuseUndrillable } from './refuse.ts'

/** What is known of one application of a drill. */
interface DrilledApplication extends OpenForEnvironment {
  plan: PlannedApplication
  lock: Lock
  of: DrillOwner
  /** What of it starts. */
  workloads: Manifest[]
}

/**
 * Restores a backup beside an environment's applications, waits until each is healthy, and throws that
 * away. Throws Failure (refused) for what cannot be tried, (5) where it does not come back.
 */
export async function drillEnvironment(
  name: string,
  folder: string,
  folders: string[],
  identity: string | undefined,
): Promise<void> {
  const permissions = drillPermissions
  const opened = await openForEnvironment(name, folder, folders, { identity, permissions })
  const { environment, all, manifest } = opened
  const plans = opened.plans.filter(({ databases }) => databases.length)
  await refuseUndrillable(environment, all, plans)
  let ms = 0
  await underLock(environment, 'drill', async lock => {
    for (const plan of plans) ms += await drillApplication(opened, plan, lock)
  })
  const chosen = plans.map(({ folder }) => folder)
  await reportDrill({ folder, manifest }, chosen, ms)
}

/** One application, with what it leaves thrown away. Out: ms until it was healthy. */
async function drillApplication(
  opened: OpenForEnvironment,
  plan: PlannedApplication,
  lock: Lock,
): Promise<number> {
  const { environment, all } = opened
  const { folder } = plan
  const workloads = selectDrilled(all, plan)
  const throwAway = () => step(`Throw ${folder} away`, () => requireGone(environment))
  const ms = await withJobsRemoved(environment, async owner => {
    await step('Look for what an earlier drill has left', () => requireGone(environment))
    const start = Date.now()
    await bringBack({ ...opened, plan, lock, workloads, of: { folder, owner } })
    return Date.now() - start
  }).catch(async (error: unknown) => {
    await throwAway().catch(({ message }: Error) => warn(message))
    throw error instanceof Failure ? createDrillFailure(error, plan) : error
  })
  await throwAway()
  return ms
}

/** The environment is as it was, whatever a restore or a rollout says of its own. */
const createDrillFailure = (
  { code, what, why, evidence, next }: Failure,
  { folder }: PlannedApplication,
): Failure =>
  new Failure(
    code === exit.refused || code === exit.locked ? code : exit.rolledBack,
    `Try the restore of ${folder}: ${what}`,
    why,
    { evidence, next, serving: 'the environment, as before; what was restored is thrown away' },
  )

async function bringBack(drilled: DrilledApplication): Promise<void> {
  const { environment, all, plan, of, workloads, folder, manifest, identities, lock } = drilled
  const hostAliases = await makeSurroundings(drilled)
  const servers = workloads.filter(isDataServer)
  await start(drilled, servers, { hostAliases }, 'Start its database beside the one that serves')
  const engine = createKubernetesRestoreEngine(environment, renameServers(all), lock.lossFailure)
  const request = { plans: [planDrill(plan)], folder, manifest, identities, dropCommand: '' }
  const swapped = await restoreData({
    ...request,
    engine: { ...engine, stopServices: () => Promise.resolve() },
  })
  const pods = await listObjects(environment, ['v1/pods'])
  const [claim = ''] = plan.files.map(({ name }) => drillName(name))
  const around = { hostAliases, node: findUserOf(pods, claim)?.spec.nodeName }
  const release = findCurrentRelease(readReleases(all))
  const migrations = (release?.manifests ?? []).filter(
    ({ kind, metadata }) =>
      kind === 'Job' && metadata.labels?.['app.kubernetes.io/part-of'] === of.folder,
  )
  await start(drilled, migrations, around, 'Migrate what was restored')
  const applications = workloads.filter(one => !isDataServer(one))
  await start(drilled, applications, around, 'Start the application on it')
  await swapped.finish()
}

/** Makes what the pods need. Out: the addresses that their settings' names have in them. */
async function makeSurroundings({
  environment,
  all,
  of,
  workloads,
}: DrilledApplication): Promise<HostAlias[]> {
  for (const one of createDrillPolicies(of))
    await createObject(environment, 'networking.k8s.io/v1/networkpolicies', one)
  const claims = listClaimNames(workloads)
  for (const one of all)
    if (one.kind === 'PersistentVolumeClaim' && claims.includes(one.metadata.name))
      await createObject(environment, 'v1/persistentvolumeclaims', createDrillClaim(of, one))
  const addresses: { name: string; ip: string }[] = []
  for (const { name, service } of createDrillServices(of, all, workloads)) {
    const { spec } = await createObject(environment, 'v1/services', service)
    addresses.push({ name, ip: spec.clusterIP as string })
  }
  return createHostAliases(environment.namespace, addresses)
}

const resources: Record<string, string> = {
  Deployment: 'apps/v1/deployments',
  StatefulSet: 'apps/v1/statefulsets',
  Job: 'batch/v1/jobs',
}

/** Starts workloads and waits until they are healthy. */
async function start(
  { environment, of, lock }: DrilledApplication,
  workloads: Manifest[],
  around: { hostAliases: HostAlias[]; node?: string | undefined },
  what: string,
): Promise<void> {
  if (!workloads.length) return
  await step(what, async () => {
    const since = Date.now()
    const made = workloads.map(one => createDrillWorkload(of, one, around))
    for (const one of made) await createObject(environment, resources[one.kind]!, one)
    await waitForRollout({ environment, what, since, stableMs: 0, lock }, made)
  })
}

/** What the restore's engine reads of an environment, with the names of the drill. */
const renameServers = (all: Manifest[]): Manifest[] =>
  all
    .filter(({ kind }) => ['StatefulSet', 'PersistentVolumeClaim', 'Secret'].includes(kind))
    .map(one =>
      one.kind === 'Secret'
        ? one
        : { ...one, metadata: { ...one.metadata, name: drillName(one.metadata.name) } },
    )
