// A backup of an environment on Kubernetes: scripts run in Jobs beside the databases and the volumes.
import type { Environment } from '../../kubernetes/environment.ts'
import type { LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import { selectKinds, type Manifest } from '../../kubernetes/objects.ts'
import { createKubernetesTarget } from '../../smoke/kubernetes-target.ts'
import { listEnvFiles } from '../compose/engine.ts'
import type { BackupEngine } from '../engine.ts'
import type { SavedImage } from '../manifest.ts'
import type { PlannedApplication } from '../plan.ts'
import { withDatabase } from './database.ts'
import { createVolumeJob, serverContainerOf } from './job.ts'
import { findUserOf } from './plan.ts'
import { listEnvironmentSettings } from './settings.ts'
import { withJob } from './workplace.ts'

/**
 * An environment whose databases run; `all` are its objects in the cluster. It goes on with the next
 * database or volume only while the lock is held.
 */
export const createKubernetesEngine = (
  environment: Environment,
  all: Manifest[],
  lossFailure: LockLossCheck,
): BackupEngine => {
  const requireLock = () => {
    const lost = lossFailure()
    if (lost) throw lost
  }
  const servers = all.filter(one => one.kind === 'StatefulSet' && serverContainerOf(one))
  const image = serverContainerOf(servers[0]!)!.image!
  return {
    project: environment.namespace,
    name: 'kubernetes',
    suffix: `.${environment.name}`,
    withDatabase: (database, work) => {
      requireLock()
      const server = servers.find(({ metadata }) => metadata.name === database.service)!
      return withDatabase(environment, server, database, work)
    },
    withVolume: ({ name }, work) => {
      requireLock()
      const user = findUserOf(all, name)
      return withJob(environment, createVolumeJob(name, { image, user, writes: false }), work)
    },
    listSettings: async () => {
      const { settings, leftOut } = await listEnvironmentSettings(environment, all)
      return { settings: [...settings, ...listEnvFiles(`.${environment.name}`)], leftOut }
    },
    describeImages: plans => Promise.resolve(describeImages(all, plans)),
    smokeTarget: () => createKubernetesTarget(environment),
  }
}

/** What runs of each service, with the digest that its node has pulled. */
function describeImages(all: Manifest[], plans: PlannedApplication[]): Record<string, SavedImage> {
  const pods = selectKinds(all, 'Pod').filter(({ status }) => status.phase === 'Running')
  const described = plans
    .flatMap(({ services }) => services)
    .flatMap(service => {
      const own = pods.find(
        ({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === service,
      )
      const main = own?.status.containerStatuses?.[0]
      if (!main) return []
      const { image, imageID: id } = main
      const digests = id.includes('@sha256:') ? [id.replace(/^.*:\/\//, '')] : []
      return [[service, { image, id, digests }] as const]
    })
  return Object.fromEntries(described)
}
