// What the doctor finds in a stack: its images, containers, volumes and certificates.
import type { Container } from '../compose/containers.ts'
import { findUnreadableMounts } from '../compose/mounts.ts'
import { findOtherOwners } from '../compose/ownership.ts'
import type { ComposeConfig, Stack } from '../compose/stack.ts'
import { checkVolumeSecrets } from '../compose/volumes/check.ts'
import { findOldVolumes } from '../compose/volumes/layout.ts'
import { databaseVolumesOf } from '../compose/volumes/secrets.ts'
import { findOwnerlessImages } from '../images/owner.ts'
import { describeCommitPins } from '../images/pinned-commits.ts'
import { findMissingImages } from '../images/pull-or-build.ts'
import { findUnreachableRegistries } from '../images/registry/client.ts'
import {
  fetchCertificate,
  findTlsEdge,
  judgeCertificates,
  listRoutedHosts,
} from './certificates.ts'
import { findChangedCollations, judgeCollations } from './collations.ts'
import {
  countOomKills,
  findLikelyCauses,
  judgeContainers,
  judgeIdle,
  readLastLogLines,
  type StackHealth,
} from './containers.ts'
import type { Finding } from './finding.ts'
import {
  judgeDisks,
  judgeImages,
  judgeLayouts,
  judgeMounts,
  judgeOwner,
  judgeStores,
  judgeVolumes,
  volumeFilesystems,
} from './storage.ts'

/** Asks the engine and the registries. `ownWay`: the engine has a way to images that is not ours. */
export async function examineStack(
  stack: Stack,
  all: ComposeConfig,
  seen: Map<string, Container>,
  volumes: string[],
  ownWay: boolean,
): Promise<Finding[]> {
  const services = Object.keys(all.services)
  const images = new Set(services.map(name => all.services[name]?.image)).size
  const edge = findTlsEdge(all)
  const serving = edge && seen.get(edge.service)?.State.Status === 'running'
  const databases = databaseVolumesOf(all, services, stack.suffix.slice(1))
  const [missing, logs, causes, kills, disks, certificates, closed, stores, moved, old] =
    await Promise.all([
      findMissingImages(all, services),
      readLastLogLines(seen),
      findLikelyCauses(seen),
      countOomKills(seen),
      volumeFilesystems(all, seen),
      serving
        ? Promise.all(listRoutedHosts(all).map(host => fetchCertificate(host, edge.port)))
        : [],
      findUnreadableMounts(all, services),
      checkVolumeSecrets(stack, all, services, seen),
      findChangedCollations(databases, seen),
      findOldVolumes(databases, seen),
    ])
  const silent = stack.suffix || ownWay ? [] : await findSilentRegistries(missing)
  const where = describeCommitPins(missing)
  const pulse: StackHealth = { stack, all, seen, volumes, logs, causes, kills, now: Date.now() }
  return [
    ...judgeImages(stack, images, missing, silent, seen.size > 0, where),
    ...(seen.size ? judgeContainers(pulse) : judgeIdle(stack, volumes)),
    ...judgeOwner(stack.project, findOtherOwners(seen.values())),
    ...judgeMounts(closed),
    ...judgeVolumes(pulse),
    ...judgeStores(stores),
    ...judgeCollations(stack.project, moved),
    ...judgeLayouts(stack, old),
    ...judgeDisks(disks),
    ...judgeCertificates(
      certificates,
      stack.mode === 'prod',
      stack.project,
      edge?.service ?? '',
      Date.now(),
    ),
  ]
}

/** ms for a registry to answer. */
const registryTimeoutMs = 5_000

async function findSilentRegistries(images: string[]): Promise<string[]> {
  const named = images.filter(
    image => !image.endsWith(':unset') && !findOwnerlessImages([image]).length,
  )
  return findUnreachableRegistries(named, registryTimeoutMs)
}
