// The Jobs that a backup works in: one for a database, beside its server, and one for a volume, on the
// node where it is mounted. Pure.
import type { Container, PodSpec, Volume } from 'kubernetes-types/core/v1.js'
import { randomBytes } from 'node:crypto'
import type { Manifest, Pod } from '../../kubernetes/objects.ts'

export const backupLabel = 'kgc.hu/backup'
/** Where a Job's container keeps what runs in it, and the sign that somebody still asks for it. */
export const workFolder = '/backup/.work'
/** The ConfigMap with the scripts of this folder's parent. */
export const scriptsName = 'kgc-backup-scripts'
/** The name of the Job that works on a database or a claim. */
export const jobName = (name: string): string => `kgc-backup-${name}`.slice(0, 63)
/** What a database's NetworkPolicy calls the pods that may dump it. */
export const dumperName = (database: string): string => `${database}-backup`

/** Minutes after which a Job ends that nobody asks for any more. */
const idleMinutes = 15
const waitScript = `mkdir -p ${workFolder} && touch ${workFolder}/asked
while [ -n "$(find ${workFolder}/asked -mmin -${idleMinutes})" ]; do sleep 5; done
echo 'nobody has asked for ${idleMinutes} minutes' >&2; exit 1`

/** A container that waits for commands. */
const createTools = (image: string, more: Partial<Container> = {}): Container => ({
  name: 'tools',
  image,
  command: ['sh', '-c', waitScript],
  env: ['TMPDIR', 'HOME'].map(name => ({ name, value: '/backup' })),
  resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '512Mi' } },
  volumeMounts: [
    { name: 'scratch', mountPath: '/backup' },
    { name: 'scripts', mountPath: '/kgc', readOnly: true },
  ],
  securityContext: {
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
  },
  ...more,
})

const ownVolumes: Volume[] = [
  { name: 'scratch', emptyDir: {} },
  { name: 'scripts', configMap: { name: scriptsName } },
]

function createJob(name: string, label: string, spec: Partial<PodSpec>): Manifest {
  const labels = { 'app.kubernetes.io/name': label, [backupLabel]: 'yes' }
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: jobName(name), labels },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: 600,
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 1,
          ...spec,
        },
      },
    },
  }
}

/** The container of a StatefulSet's pods that is its database's server. */
export const serverContainerOf = (statefulSet: Manifest): Container | undefined =>
  (statefulSet.spec.template.spec as PodSpec).containers.find(
    ({ name, env = [] }) => name === 'postgres' && env.some(one => one.name === 'POSTGRES_DB'),
  )

/**
 * The Job that dumps a database by its network, with a server of the same image and settings beside
 * it for the proof, which holds no data and no secret of the stack.
 */
export function createDatabaseJob(
  statefulSet: Manifest,
  database: string,
  { proof: proves = true } = {},
): Manifest {
  const {
    securityContext,
    imagePullSecrets,
    volumes = [],
  } = statefulSet.spec.template.spec as PodSpec
  const server = serverContainerOf(statefulSet)!
  const mounts = server.volumeMounts ?? []
  const mounted = volumes.filter(({ name }) => mounts.some(one => one.name === name))
  // what a template claims for each pod
  const data = mounts
    .map(({ name }) => name)
    .filter(name => !mounted.some(one => one.name === name))
  const random = () => randomBytes(24).toString('hex')
  const proof: Container = {
    ...{ name: 'proof', image: server.image, command: server.command, volumeMounts: mounts },
    // it lives for minutes: what is on the disk after a crash does not matter
    args: ['postgres', ...['fsync', 'full_page_writes'].flatMap(key => ['-c', `${key}=off`])],
    env: server.env?.map(({ name, value, valueFrom }) => ({
      name,
      value: valueFrom ? random() : value,
    })),
    restartPolicy: 'Always',
    resources: {
      requests: { cpu: '50m', memory: '128Mi' },
      limits: { memory: server.resources?.limits?.memory ?? '1Gi' },
    },
    securityContext: server.securityContext,
  } as Container
  return createJob(database, dumperName(database), {
    securityContext,
    imagePullSecrets,
    ...(proves ? { initContainers: [proof] } : {}),
    containers: [createTools(server.image!)],
    volumes: [
      ...ownVolumes,
      ...mounted,
      ...[...new Set(data)].map(name => ({ name, emptyDir: {} })),
    ],
  } as Partial<PodSpec>)
}

/** What reading and writing everybody's files takes; `baseline` allows it. */
const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID']

/**
 * The Job that has a claim at /volume: a volume of one node is there only, beside the pod that uses
 * it. Without an fsGroup, which would change the owners of all files.
 */
export function createVolumeJob(
  claim: string,
  { image, user, writes }: { image: string; user: Pod | undefined; writes: boolean },
): Manifest {
  const tools = createTools(image)
  const { nodeName, tolerations, imagePullSecrets } = user?.spec ?? {}
  const terms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] }]
  const onNode = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } }
  return createJob(claim, 'volume-backup', {
    tolerations,
    imagePullSecrets,
    ...(nodeName ? { affinity: { nodeAffinity: onNode } } : {}),
    securityContext: { runAsUser: 0, runAsGroup: 0, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        ...tools,
        securityContext: {
          ...tools.securityContext,
          capabilities: { drop: ['ALL'], add: capabilities },
        },
        volumeMounts: [
          ...tools.volumeMounts!,
          { name: 'volume', mountPath: '/volume', readOnly: !writes },
        ],
      },
    ],
    volumes: [...ownVolumes, { name: 'volume', persistentVolumeClaim: { claimName: claim } }],
  } as Partial<PodSpec>)
}
