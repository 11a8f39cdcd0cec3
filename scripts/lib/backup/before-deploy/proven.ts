// A proven backup that stands for a new one before a deploy migrates data.
import { join } from 'node:path'
import { createKubernetesDeployTarget } from '../../deploy/target.ts'
import { fetchSchemaVersions } from '../../deploy/verify/schema-versions.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import type { ReleaseBackup } from '../../kubernetes/releases.ts'
import { findBackups, findDamage, type BackupManifest } from '../manifest.ts'
import { readCopiedManifests } from '../off-site/copy.ts'
import { describeBackup, type Destination } from './destination.ts'

/** A proven backup that is not older than environment.yaml says, of the schemas as they are. */
export async function findProven(
  environment: Environment,
  destination: Destination,
  applications: string[],
  manifests: Manifest[],
): Promise<ReleaseBackup | undefined> {
  const { backup: { maxAgeHours } = {}, namespace: project } = environment
  if (!maxAgeHours) return undefined
  const since = new Date(Date.now() - maxAgeHours * 3_600_000)
  const { folder = '', offSite } = destination
  const target = createKubernetesDeployTarget(environment)
  const [heads, found] = await Promise.all([
    fetchSchemaVersions(target, manifests, [], applications),
    offSite
      ? readCopiedManifests(offSite, project, since)
      : findBackups(folder).flatMap(({ manifest }) => manifest ?? []),
  ])
  for (const one of found.filter(
    each => each.project === project && standsFor(each, since, applications, heads),
  ))
    if (offSite || !(await findDamage(join(folder, one.name), one)).length)
      return describeBackup(one, destination, applications)
  return undefined
}

/** Whether it has all that is needed of the data as it is. Pure. */
export function standsFor(
  { created, applications, schemaVersions, recipients }: BackupManifest,
  since: Date,
  wanted: string[],
  heads: Record<string, string>,
  now = Date.now(),
): boolean {
  const time = Date.parse(created)
  return (
    time >= since.getTime() &&
    time <= now &&
    recipients.length > 0 &&
    wanted.every(
      one => applications.includes(one) && heads[one] !== '?' && heads[one] === schemaVersions[one],
    )
  )
}
