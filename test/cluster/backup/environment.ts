// Chatwoot of the demo in a namespace of its own: a real PostgreSQL and Redis, and a stand-in that has
// volumes. One account has the deployer's rights, one those of who takes backups. A mail server stands outside
// of the namespace.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitUntil } from '../../until.ts'
import {
  apply,
  clusterEnv,
  get,
  kubectl,
  namespace,
  registry,
  tool,
  writeKubeconfig,
} from '../cluster.ts'
import { backupAccount, deployer } from '../deploy/test-environment.ts'
import { buildOverlay, copy, type Json } from '../manifests.ts'

export const box = copy
export const space = namespace('backup', { 'pod-security.kubernetes.io/enforce': 'baseline' })
export const here = ['--namespace', space]
export const env = { ...clusterEnv, KUBECONFIG: join(box.root, 'kubeconfig'), NO_COLOR: '1' }
/** Of the account that takes backups. */
export const backupEnv = { ...env, KUBECONFIG: join(box.root, 'kubeconfig-backup') }
const outside = namespace('mail')

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
  backupAccount(space)
  writeKubeconfig(backupEnv.KUBECONFIG, [{ context: 'test', account: 'backup', namespace: space }])
  const classes = get('priorityclasses').items.map(({ metadata }: Json) => metadata.name)
  if (!classes.includes('kgc-data'))
    kubectl(['apply', '--filename', join(box.root, 'infra/k8s/cluster/priorities.yaml')])
  apply(...all, mailServer)
  await ready(['chatwoot-db', 'chatwoot-redis', 'chatwoot-web', 'chatwoot-sidekiq'])
  await openWayToMail()
}

const mailPort = 2525
/** What answers there does not matter. */
const mailServer = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'mail', namespace: outside },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'mail',
        image: `${registry}/kgc-demo/redis:8`,
        command: ['redis-server', '--port', `${mailPort}`, '--protected-mode', 'no'],
      },
    ],
  },
}
const addressOfMail = (): string => get('pod', 'mail', '--namespace', outside).status.podIP

/** The policy that an administrator writes for a mail server with a private address. */
async function openWayToMail(): Promise<void> {
  const there = ['--namespace', outside, '--timeout', '60s']
  kubectl(['wait', '--for=condition=Ready', 'pod/mail', ...there])
  apply({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'own-mail-server', namespace: space },
    spec: {
      podSelector: { matchLabels: { 'app.kubernetes.io/part-of': folder } },
      policyTypes: ['Egress'],
      egress: [
        {
          to: [{ ipBlock: { cidr: `${addressOfMail()}/32` } }],
          ports: [{ port: mailPort, protocol: 'TCP' }],
        },
      ],
    },
  })
  await waitUntil('the mail server is reached', 60, () => reachesMail())
}

/** Whether the pods of a deployment reach a port. */
export const reaches = (deployment: string, host: string, port: number): boolean =>
  tool(
    'kubectl',
    [
      ...['exec', `deploy/${deployment}`, '--container', 'chatwoot', ...here, '--'],
      ...['timeout', '5', '/opt/standin/bin/nodejs', '-e'],
      `require('net').connect(${port}, '${host}').on('connect', () => process.exit(0)).on('error', () => process.exit(1))`,
    ],
    { nothrow: true },
  ).code === 0

/** Whether they reach the mail server. */
export const reachesMail = (deployment = 'chatwoot-web'): boolean =>
  reaches(deployment, addressOfMail(), mailPort)

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
export const sql = (
  query: string,
  user = 'postgres',
  database = 'chatwoot',
  pod = 'chatwoot-db-0',
): string =>
  kubectl(
    [
      ...['exec', '--stdin', pod, '--container', 'postgres', ...here, '--'],
      ...['psql', '-qtAX', '-v', 'ON_ERROR_STOP=1', '-U', user, '-d', database, '-f', '-'],
    ],
    { input: query },
  ).trim()

/** Runs a script in the application's container, which has the volume at /app/storage. */
export const inStorage = (script: string, deployment = 'chatwoot-web'): string =>
  kubectl([
    ...['exec', `deploy/${deployment}`, '--container', 'chatwoot', ...here, '--'],
    ...['sh', '-c', `cd /app/storage && ${script}`],
  ]).trim()
