// Chatwoot of the demo in a namespace of its own: a real PostgreSQL and Redis, and a stand-in that has
// volumes. Its account has the deployer's rights.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitUntil } from '../../until.ts'
import { apply, clusterEnv, get, kubectl, namespace, writeKubeconfig } from '../cluster.ts'
import { deployer } from '../deploy/test-environment.ts'
import { buildOverlay, copy, type Json } from '../manifests.ts'

export const box = copy
export const space = namespace('backup', { 'pod-security.kubernetes.io/enforce': 'baseline' })
export const here = ['--namespace', space]
export const env = { ...clusterEnv, KUBECONFIG: join(box.root, 'kubeconfig'), NO_COLOR: '1' }

const folder = 'chatwoot'
const partOf = (one: Json): string | undefined =>
  one.metadata.labels?.['app.kubernetes.io/part-of'] ??
  /^(kgc|twenty-crm|horilla-hr)-/.exec(one.metadata.name)?.[1]

/** Its objects, as the overlay `test` makes them. */
function makeManifests(): Json[] {
  const all = buildOverlay({ namespace: space, resources: ['../demo'] })
  return all.filter(
    one => !/Ingress|Autoscaler|Budget/.test(one.kind) && [folder, undefined].includes(partOf(one)),
  )
}

/** Puts the environment into the cluster and waits until it is ready. */
export async function start(): Promise<void> {
  const overlay = join(box.root, 'infra/k8s/overlays/test')
  mkdirSync(overlay, { recursive: true })
  writeFileSync(join(overlay, 'environment.yaml'), 'disposable: true\nstableSeconds: 2\n')
  writeFileSync(
    join(overlay, 'kustomization.yaml'),
    JSON.stringify({ namespace: space, resources: ['all.yaml'] }),
  )
  const all = makeManifests()
  writeFileSync(join(overlay, 'all.yaml'), all.map(one => JSON.stringify(one)).join('\n---\n'))
  deployer(space)
  writeKubeconfig(env.KUBECONFIG, [{ context: 'test', account: 'deployer', namespace: space }])
  const classes = get('priorityclasses').items.map(({ metadata }: Json) => metadata.name)
  if (!classes.includes('kgc-data'))
    kubectl(['apply', '--filename', join(box.root, 'infra/k8s/cluster/priorities.yaml')])
  apply(...all)
  await ready(['chatwoot-db', 'chatwoot-redis', 'chatwoot-web', 'chatwoot-sidekiq'])
}

/** Waits until a pod of each is ready. */
export const ready = (names: string[]): Promise<unknown> =>
  waitUntil(
    `${names.join(', ')} are ready`,
    240,
    () => {
      const pods: Json[] = get('pods', ...here).items
      return names.every(name =>
        pods.some(
          ({ metadata, status }) =>
            metadata.labels?.['app.kubernetes.io/name'] === name &&
            !metadata.deletionTimestamp &&
            status.conditions?.some(
              ({ type, status }: Json) => type === 'Ready' && status === 'True',
            ),
        ),
      )
    },
    1000,
  )

/** Runs SQL in the database's own container. */
export const sql = (query: string, user = 'postgres', database = 'chatwoot'): string =>
  kubectl(
    [
      ...['exec', '--stdin', 'chatwoot-db-0', '--container', 'postgres', ...here, '--'],
      ...['psql', '-qtAX', '-v', 'ON_ERROR_STOP=1', '-U', user, '-d', database, '-f', '-'],
    ],
    { input: query },
  ).trim()

/** Runs a script in the application's container, which has the volume at /app/storage. */
export const inStorage = (script: string): string =>
  kubectl([
    ...['exec', 'deploy/chatwoot-web', '--container', 'chatwoot', ...here, '--'],
    ...['sh', '-c', `cd /app/storage && ${script}`],
  ]).trim()
