// A backup that is to be restored in an environment: whether it fits there. Nothing is touched.
import { loadEnvironment, type Environment } from '../../kubernetes/environment.ts'
import { exit, Failure } from '../../errors.ts'
import { containerSpecsOf, selectKinds, type Manifest } from '../../kubernetes/objects.ts'
import { listObjects } from '../../kubernetes/resources.ts'
import { requireSupportedCluster } from '../../kubernetes/versions.ts'
import { listApplications } from '../../repository.ts'
import { requireManifest, type BackupManifest } from '../manifest.ts'
import type { PlannedApplication } from '../plan.ts'
import { refuseMaskedEnvironment } from '../mask/refuse.ts'
import {
  readSavedValues,
  readSecretValues,
  refuseOtherValues,
  type Values,
} from '../restore/kept-values.ts'
import type { OpenBackup } from '../restore/into-stack.ts'
import { chooseSaved, openBackup, refuseAbsent } from '../restore/open.ts'
import { refuseBlockedReleases } from '../restore/ready.ts'
import { backupResources, choosePlans, requireBackupPermissions } from './backup.ts'
import { planEnvironment } from './plan.ts'

/** A backup for an environment that fits it. */
export interface OpenForEnvironment extends OpenBackup {
  environment: Environment
  /** The environment's objects in the cluster. */
  all: Manifest[]
  /** What of it is restored. */
  plans: PlannedApplication[]
}

/** Opens a backup for applications of an environment, or all; `mask`: of any other, for a copy without its people. Throws Failure (refused). */
export async function openForEnvironment(
  name: string,
  folder: string,
  folders: string[],
  {
    identity,
    permissions,
    mask,
  }: { identity?: string | undefined; permissions: string[]; mask?: { yes: boolean } | undefined },
): Promise<OpenForEnvironment> {
  const environment = loadEnvironment(name)
  const manifest = requireManifest(folder)
  if (!mask) refuseOtherEnvironment(manifest, environment)
  refuseAbsent(manifest, folders)
  const identities = await openBackup(folder, manifest, identity)
  if (mask) await refuseMaskedEnvironment(manifest, environment, mask.yes)
  // a masked copy has nothing that another's values were needed for
  const saved: Values = mask ? new Map() : await readSavedValues(folder, manifest, identities)
  await requireSupportedCluster(environment)
  await requireBackupPermissions(environment, permissions)
  const all = await listObjects(environment, backupResources)
  const wanted = folders.length ? folders : listPlanned(all, manifest)
  const plans = chooseSaved(manifest, choosePlans(environment, all, wanted), wanted)
  const secrets = all.filter(({ kind }) => kind === 'Secret')
  refuseOtherValues(
    saved,
    readSecretValues(secrets, listApplications()),
    `the values of the backup into .env.${name}, npx zx scripts/seal.ts ${name} --all, a deploy, then the same command again`,
  )
  await refuseBlockedReleases(manifest, listImages(all))
  return { environment, folder, manifest, identities, all, plans }
}

/** What of a backup an environment can have: Traefik is not its own. */
const listPlanned = (all: Manifest[], { applications }: BackupManifest): string[] =>
  planEnvironment(all)
    .map(({ folder }: PlannedApplication) => folder)
    .filter(folder => applications.includes(folder))

/** Throws Failure (refused) for a backup of another environment. */
export function refuseOtherEnvironment(manifest: BackupManifest, { name }: Environment): void {
  if (manifest.engine !== 'kubernetes' || manifest.suffix === `.${name}`) return
  throw new Failure(
    exit.refused,
    `Read ${manifest.name}`,
    `it is of ${manifest.project}, the environment ${manifest.suffix.slice(1)}`,
    { next: 'the same command with that environment' },
  )
}

/** The image of each service that is there. */
const listImages = (all: Manifest[]): Record<string, string> =>
  Object.fromEntries(
    selectKinds(all, 'Deployment', 'StatefulSet').map(one => [
      one.metadata.name,
      containerSpecsOf(one as unknown as Manifest).at(-1)?.image ?? '',
    ]),
  )
