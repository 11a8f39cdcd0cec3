// What the doctor finds in a stack: its images, containers, volumes and certificates.
import { isHeld, type Container } from '../compose/containers.ts'
import { findUnreadableMounts } from '../compose/mounts.ts'
import { findOtherOwners } from '../compose/ownership.ts'
import type { ComposeConfig, Stack } from '../compose/stack.ts'
import { checkVolumeSecrets } from '../compose/volumes/check.ts'
import { findOldVolumes } from '../compose/volumes/layout.ts'
import { databaseVolumesOf } from '../compose/volumes/secrets.ts'
import { findOwnerlessImages } from '../images/owner.ts'
import { describeCommitPins } from '../images/pinned-commits.ts'
import { findMissingImages } from '../images/missing.ts'
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
  findFullRedis,
  findLikelyCauses,
  readLastLogLines,
} from './container-facts.ts'
import { judgeContainers, judgeFullRedis, judgeIdle, type StackHealth } from './containers.ts'
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
  config: ComposeConfig,
  containers: Map<string, Container>,
  volumes: string[],
  ownWay: boolean,
): Promise<Finding[]> {
  const services = Object.keys(config.services)
  const images = new Set(services.map(name => config.services[name]?.image)).size
  const edge = findTlsEdge(config)
  const serving = edge && containers.get(edge.service)?.State.Status === 'running'
  const databases = databaseVolumesOf(config, services, stack.suffix.slice(1))
  const [missing, logs, causes, oomKills, disks, certificates, closed, stores, moved, old, full] =
    await Promise.all([
      findMissingImages(config, services),
      readLastLogLines(containers),
      findLikelyCauses(containers),
      countOomKills(containers),
      volumeFilesystems(config, containers),
      serving
        ? Promise.all(listRoutedHosts(config).map(host => fetchCertificate(host, edge.port)))
        : [],
      findUnreadableMounts(config, services),
      checkVolumeSecrets(stack, config, services, containers),
      findChangedCollations(databases, containers),
      findOldVolumes(databases, containers),
      findFullRedis(config, containers),
    ])
  const silent = stack.suffix || ownWay ? [] : await findSilentRegistries(missing)
  const where = describeCommitPins(missing)
  const health: StackHealth = {
    stack,
    config,
    containers,
    volumes,
    logs,
    causes,
    oomKills,
    isHeld: await isHeld(stack.project),
    now: Date.now(),
  }
  return [
    ...judgeImages(stack, images, missing, silent, containers.size > 0, where),
    ...(containers.size ? judgeContainers(health) : judgeIdle(stack, volumes)),
    ...judgeFullRedis(full),
    ...judgeOwner(stack.project, findOtherOwners(containers.values())),
    ...judgeMounts(closed),
    ...judgeVolumes(health),
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
