// A small environment of two applications and a migration, in a copy of the repository, deployed by
// an account with the deployer's rights only.
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sandbox, type Result, type Started } from '../../sandbox.ts'
import {
  apply,
  clusterEnv,
  get,
  kubectl,
  namespace,
  registry,
  writeKubeconfig,
} from '../cluster.ts'

type Json = Record<string, any>
// each stand removes its own at the end
process.setMaxListeners(0)

const image = `${registry}/kgc-demo/redis:8`
const meta = (name: string, order: string, more: object = {}) => ({
  name,
  annotations: { 'kgc.hu/order': order },
  ...more,
})
const settings = {
  securityContext: {
    runAsNonRoot: true,
    runAsUser: 999,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  terminationGracePeriodSeconds: 1,
}

/** What a test changes about the environment. */
export interface Shape {
  /** Of the application alpha, a Deployment. */
  command?: string[]
  image?: string
  env?: Record<string, string>
  /** Of beta, a StatefulSet. */
  beta?: string[]
  /** Of the Job `migrate`. */
  migrate?: string
  /** In the generated ConfigMap that alpha reads. */
  config?: Record<string, string>
  more?: Json[]
  namespace?: string
}

function pod(
  name: string,
  shape: {
    image?: string | undefined
    command?: string[] | undefined
    env?: Record<string, string> | undefined
  },
  more: object = {},
): Json {
  const container = {
    name,
    image: shape.image ?? image,
    command: shape.command ?? ['redis-server', '--save', ''],
    env: Object.entries({ SMOKE: 'ok', ...shape.env }).map(([name, value]) => ({ name, value })),
    readinessProbe: { tcpSocket: { port: 6379 }, periodSeconds: 1 },
    resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    ...more,
  }
  return { metadata: { labels: { app: name } }, spec: { ...settings, containers: [container] } }
}

function manifests(shape: Shape): Json[] {
  const alpha = pod('alpha', shape, { envFrom: [{ configMapRef: { name: 'alpha-config' } }] })
  const migrate = pod(
    'migrate',
    { command: ['sh', '-c', shape.migrate ?? 'true'] },
    { readinessProbe: undefined },
  )
  const selector = (app: string) => ({ selector: { matchLabels: { app } } })
  return [
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: meta('migrate', 'migrate'),
      spec: {
        backoffLimit: 0,
        template: { ...migrate, spec: { ...migrate.spec, restartPolicy: 'Never' } },
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: meta('alpha', 'application'),
      spec: {
        ...selector('alpha'),
        minReadySeconds: 1,
        strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: alpha,
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: meta('alpha', 'application'),
      spec: { selector: { app: 'alpha' }, ports: [{ port: 6379 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: meta('beta', 'application'),
      spec: {
        ...selector('beta'),
        serviceName: 'beta',
        template: pod('beta', { command: shape.beta }),
      },
    },
    ...(shape.more ?? []),
  ]
}

const smoke = `export const checks = [{ name: 'alpha says that it works', async run({ exec }) {
  const said = (await exec('alpha', ['printenv', 'SMOKE'])).trim()
  if (said !== 'ok') throw new Error('it says ' + said)
} }]
`
const schemaVersion = `export const schemaVersion = async ({ exec }) => (await exec('beta', ['redis-cli', 'get', 'head'])).trim()
`

export interface TestEnvironment {
  space: string
  box: ReturnType<typeof sandbox>
  /** What makes a script's process the deployer's. */
  env: Record<string, string>
  write: (shape?: Shape) => void
  /** Runs a script as the deployer. */
  run: (argv: string[], env?: Record<string, string>) => Result
  /** Starts it and lets it run. */
  start: (argv: string[], env?: Record<string, string>) => Started
  get: (...argv: string[]) => any
  releases: () => {
    number: number
    ending: string
    what: string
    cause?: string
    heads?: Record<string, string>
  }[]
  /** Everything that a deploy changes, with what changes when it is. */
  generations: () => Record<string, unknown>
}

/**
 * `stable`: seconds for which all must stay ready; ten of them prove nothing here that two do not.
 */
export function createTestEnvironment(name: string, { stable = 2 } = {}): TestEnvironment {
  const space = namespace(name, { 'pod-security.kubernetes.io/enforce': 'baseline' })
  const box = sandbox()
  const put = (file: string, text: string) => {
    mkdirSync(dirname(join(box.root, file)), { recursive: true })
    writeFileSync(join(box.root, file), text)
  }
  // the checks of the real applications have nothing to do with this environment
  for (const entry of readdirSync(box.docker))
    if (statSync(join(box.docker, entry)).isDirectory())
      rmSync(join(box.docker, entry), { recursive: true })
  put('infra/docker/alpha/docker-compose.yml', 'services: {}\n')
  put('infra/docker/alpha/smoke.ts', smoke)
  put('infra/docker/alpha/schema-version.ts', schemaVersion)
  put('infra/k8s/overlays/test/environment.yaml', `disposable: true\nstableSeconds: ${stable}\n`)
  const write = (shape: Shape = {}) => {
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      namespace: shape.namespace ?? space,
      resources: ['all.yaml'],
      generatorOptions: { annotations: { 'kgc.hu/order': 'data' } },
      configMapGenerator: [
        { name: 'stack', literals: ['DOMAIN=test.localhost'] },
        {
          name: 'alpha-config',
          literals: Object.entries({ A: '1', ...shape.config }).map(pair => pair.join('=')),
        },
      ],
    }
    put('infra/k8s/overlays/test/kustomization.yaml', JSON.stringify(kustomization))
    put(
      'infra/k8s/overlays/test/all.yaml',
      manifests(shape)
        .map(one => JSON.stringify(one))
        .join('\n---\n'),
    )
  }
  write()

  const kubeconfig = join(box.root, 'kubeconfig')
  deployer(space)
  writeKubeconfig(kubeconfig, [{ context: 'test', account: 'deployer', namespace: space }])
  const env = { ...clusterEnv, KUBECONFIG: kubeconfig, NO_COLOR: '1', CI: '', GITHUB_ACTIONS: '' }
  const inSpace = ['--namespace', space]
  return {
    space,
    box,
    env,
    write,
    run: (argv, more = {}) => box.script(argv, { env: { ...env, ...more }, timeout: 180_000 }),
    start: (argv, more = {}) => box.start(argv, { ...env, ...more }),
    get: (...argv) => get(...argv, ...inSpace),
    releases: () =>
      get('configmaps', '--selector', 'kgc.hu/release', ...inSpace)
        .items.map(({ data }: Json) => JSON.parse(data.release))
        .sort((a: Json, b: Json) => a.number - b.number),
    generations: () =>
      Object.fromEntries(
        get('deployments,statefulsets,jobs,services,configmaps,pods', ...inSpace).items.map(
          ({ kind, metadata }: Json) => [
            `${kind} ${metadata.name}`,
            metadata.generation ?? metadata.uid,
          ],
        ),
      ),
  }
}

/**
 * An image that its registry has and that no node here can run: it is for another processor.
 * Returns its name.
 */
export async function unrunnable(): Promise<string> {
  const address = (tag: string) => `http://${registry}/v2/kgc-demo/redis/manifests/${tag}`
  const accept = 'application/vnd.docker.distribution.manifest.v2+json'
  const answer = await fetch(address('8'), { headers: { accept } })
  const size = (await answer.arrayBuffer()).byteLength
  const type = 'application/vnd.docker.distribution.manifest.list.v2+json'
  const list = {
    schemaVersion: 2,
    mediaType: type,
    manifests: [
      {
        mediaType: accept,
        size,
        digest: answer.headers.get('docker-content-digest'),
        platform: { architecture: 's390x', os: 'linux' },
      },
    ],
  }
  const put = await fetch(address('s390x'), {
    method: 'PUT',
    headers: { 'content-type': type },
    body: JSON.stringify(list),
  })
  if (!put.ok) throw new Error(`the registry does not take it: ${put.status} ${await put.text()}`)
  return `${registry}/kgc-demo/redis:s390x`
}

/** Makes an account with the rights of infra/k8s/cluster/backup in one namespace. */
export function backupAccount(space: string): void {
  const [name, here] = ['backup', { namespace: space }]
  const roles = join(import.meta.dirname, '../../../infra/k8s/cluster/backup/role.yaml')
  kubectl(['apply', '--filename', roles])
  apply(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, ...here } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name, ...here },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'kgc-backup' },
      subjects: [{ kind: 'ServiceAccount', name, ...here }],
    },
  )
}

/** Makes an account with the rights of infra/k8s/cluster/deployer in one namespace. */
export function deployer(space: string): void {
  const bind = (kind: string, name: string, role: string, more: object) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind,
    metadata: { name, ...more },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: 'deployer', namespace: space }],
  })
  kubectl([
    'apply',
    '--filename',
    join(import.meta.dirname, '../../../infra/k8s/cluster/deployer/role.yaml'),
  ])
  apply(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'deployer', namespace: space } },
    bind('RoleBinding', 'deployer', 'kgc-deployer', { namespace: space }),
    bind('ClusterRoleBinding', `deployer-${space}`, 'kgc-deployer-preflight', {}),
  )
  process.once('exit', () =>
    kubectl(['delete', 'clusterrolebinding', `deployer-${space}`, '--ignore-not-found'], {
      nothrow: true,
    }),
  )
}
