import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { resourceId, type Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { upgradePaths as chatwoot } from '../../infra/docker/chatwoot/upgrade-paths.ts'
import { upgradePaths as kgc } from '../../infra/docker/kgc/upgrade-paths.ts'
import { upgradePaths as twenty } from '../../infra/docker/twenty-crm/upgrade-paths.ts'
import {
  findBlockedUpgrades,
  type UpgradeRule,
} from '../../scripts/lib/deploy/preflight/upgrade-paths.ts'
import {
  explainServerError,
  findManifestErrors,
  findMissingSecretKeys,
  findChangedDatabases,
} from '../../scripts/lib/deploy/preflight/manifest-errors.ts'
import {
  findFixedReplicas,
  findStoppedTargets,
} from '../../scripts/lib/deploy/preflight/autoscalers.ts'
import { findSettingProblems } from '../../scripts/lib/deploy/preflight/settings-files.ts'
import { listEnvironments } from '../../scripts/lib/kubernetes/environment.ts'
import { sortForApply, findOrphans } from '../../scripts/lib/deploy/apply/order.ts'
import {
  configChecksumAnnotation,
  listWorkloadDigests,
  listWorkloadImages,
  jobChecksumAnnotation,
  withDigestsAndChecksums,
  replaceImageTags,
} from '../../scripts/lib/deploy/apply/checksums.ts'
import { parseImage } from '../../scripts/lib/images/reference.ts'
import { fetchImageDigest } from '../../scripts/lib/images/registry/client.ts'

const test = suite('plan')
const object = (kind: string, name: string, more: Record<string, any> = {}): Manifest => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: 'x' },
  ...more,
})
const ordered = (kind: string, name: string, order: string) =>
  object(kind, name, { metadata: { name, annotations: { 'kgc.hu/order': order } } })
const workload = (name: string, container: object = {}, kind = 'Deployment'): Manifest =>
  object(kind, name, {
    apiVersion: 'apps/v1',
    spec: {
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ image: 'ghcr.io/kgc/api:1', ...container }] },
      },
    },
  })
const digest = `sha256:${'a'.repeat(64)}`
const digests = new Map([['ghcr.io/kgc/api:1', digest]])
const titles = (all: Manifest[]) => all.map(resourceId)

test('the order is that of kgc.hu/order, and inside that of the kinds', () => {
  const all = [
    ordered('Ingress', 'i', 'edge'),
    ordered('Deployment', 'web', 'application'),
    ordered('Service', 'web', 'application'),
    ordered('Job', 'm', 'migrate'),
    ordered('StatefulSet', 'db', 'data'),
    ordered('ConfigMap', 'c', 'data'),
  ]
  assert.equal(titles(sortForApply(all)), [
    'ConfigMap c',
    'StatefulSet db',
    'Job m',
    'Service web',
    'Deployment web',
    'Ingress i',
  ])
  assert.equal(
    titles(sortForApply([object('Deployment', 'web'), object('NetworkPolicy', 'n')])),
    ['NetworkPolicy n', 'Deployment web'],
    'without the annotation',
  )
})

test('images are stamped with their digest; one that has a digest keeps it', () => {
  const fixed = `postgres:17@sha256:${'b'.repeat(64)}`
  const all = [workload('api'), workload('db', { image: fixed })]
  assert.equal(listWorkloadImages(withDigestsAndChecksums(all, digests)), [
    `ghcr.io/kgc/api:1@${digest}`,
    fixed,
  ])
  assert.equal(listWorkloadImages(all), ['ghcr.io/kgc/api:1', fixed], 'what came in is as it was')
})

test('images of stamped manifests are told by digest, each once', () => {
  const fixed = `postgres:17@sha256:${'b'.repeat(64)}`
  const all = [
    workload('api'),
    workload('web', { image: 'ghcr.io/kgc/api:2' }),
    workload('db', { image: fixed }),
  ]
  assert.equal(
    listWorkloadDigests(
      withDigestsAndChecksums(all, new Map([...digests, ['ghcr.io/kgc/api:2', digest]])),
    ),
    [`ghcr.io/kgc/api@${digest}`, fixed.replace(':17', '')],
  )
})

test('a tag goes to the named images only', () => {
  assert.equal(
    listWorkloadImages(
      replaceImageTags(
        [workload('api'), workload('db', { image: 'ghcr.io/kgc/postgres:17' })],
        ['ghcr.io/kgc/api'],
        'abc',
      ),
    ),
    ['ghcr.io/kgc/api:abc', 'ghcr.io/kgc/postgres:17'],
  )
})

test('the stamp changes with what a pod reads, and with nothing else', () => {
  const stamp = (all: Manifest[]) =>
    withDigestsAndChecksums(all, digests).find(({ kind }) => kind === 'Deployment')!.spec.template
      .metadata.annotations[configChecksumAnnotation]
  const sealed = (text: string, name = 'mine') =>
    object('SealedSecret', name, { spec: { encryptedData: { KEY: text } } })
  const reads = (from: object) => workload('api', from)
  const byKey = reads({
    env: [{ name: 'K', valueFrom: { secretKeyRef: { name: 'mine', key: 'KEY' } } }],
  })
  const byAll = reads({ envFrom: [{ secretRef: { name: 'mine' } }] })
  const byFile = workload('api')
  byFile.spec.template.spec.volumes = [{ name: 'v', configMap: { name: 'mine' } }]
  for (const one of [byKey, byAll]) {
    assert.is.not(stamp([one, sealed('a')]), stamp([one, sealed('b')]))
    assert.is(
      stamp([one, sealed('a'), sealed('a', 'other')]),
      stamp([one, sealed('a'), sealed('b', 'other')]),
    )
  }
  const map = (x: string) => object('ConfigMap', 'mine', { data: { x } })
  assert.is.not(stamp([byFile, map('1')]), stamp([byFile, map('2')]))
})

test('a Job is stamped with a hash of itself: the same one has run, another has not', () => {
  const job = (args: string[]) =>
    withDigestsAndChecksums([workload('migrate', { args }, 'Job')], digests)[0]!.metadata
      .annotations![jobChecksumAnnotation]
  assert.is(job(['a']), job(['a']))
  assert.is.not(job(['a']), job(['b']))
})

test('a Service must select a pod; what belongs to the cluster is refused', () => {
  const service = (app: string) => object('Service', app, { spec: { selector: { app } } })
  assert.equal(
    findManifestErrors([
      workload('api'),
      service('api'),
      object('Service', 'outside', { spec: { type: 'ExternalName' } }),
    ]),
    [],
  )
  assert.equal(findManifestErrors([workload('api'), service('apl')]), [
    'Service apl selects no pod of this environment: {"app":"apl"}',
  ])
  assert.match(
    findManifestErrors([object('Namespace', 'x')])[0]!,
    'Namespace x belongs to the whole cluster',
  )
  assert.match(
    findManifestErrors([ordered('ConfigMap', 'c', 'first')])[0]!,
    'kgc.hu/order must be one of',
  )
})

test('a database whose user changes is refused: its volume knows the old one alone', () => {
  const db = (user: string) =>
    workload('db', { env: [{ name: 'POSTGRES_USER', value: user }] }, 'StatefulSet')
  assert.equal(findChangedDatabases([db('postgres')], [db('postgres')]), [])
  assert.equal(findChangedDatabases([db('postgres')], [workload('db')]), [])
  assert.match(
    findChangedDatabases([db('postgres')], [db('app')]).join(),
    'StatefulSet db: its volume was created with POSTGRES_USER app: dump and restore',
  )
})

test('a key that a pod needs must be sealed and not empty; optional ones and those in the cluster are fine', () => {
  const needs = (key: string, optional = false) =>
    workload('api', {
      env: [{ name: 'K', valueFrom: { secretKeyRef: { name: 's', key, optional } } }],
    })
  const sealed = object('SealedSecret', 's', {
    spec: { encryptedData: { FULL: 'AgB…', EMPTY: '' } },
  })
  assert.equal(findMissingSecretKeys([needs('FULL'), sealed], new Map()), [])
  assert.equal(findMissingSecretKeys([needs('EMPTY'), sealed], new Map()), [
    'EMPTY of s is missing or empty',
  ])
  assert.equal(findMissingSecretKeys([needs('EMPTY', true), sealed], new Map()), [])
  assert.equal(findMissingSecretKeys([needs('LIVE')], new Map([['s', ['LIVE']]])), [])
  assert.equal(
    findMissingSecretKeys(
      [workload('api', { envFrom: [{ secretRef: { name: 's' } }] })],
      new Map(),
    ),
    ['the Secret s is not there'],
  )
})

test("removed is what a release had and this one has not; data, secrets and what is the cluster's never", () => {
  const kinds = [
    'Deployment',
    'Service',
    'PersistentVolumeClaim',
    'Secret',
    'SealedSecret',
    'Namespace',
    'CustomResourceDefinition',
  ]
  const { removed } = findOrphans(
    [object('Deployment', 'stays')],
    [[object('Deployment', 'stays'), ...kinds.map(kind => object(kind, 'old'))]],
    [],
    [],
  )
  assert.equal(titles(removed), ['Deployment old', 'Service old'])
})

test('what an interrupted release has brought is removed, too; what is older than the last good one is not looked for', () => {
  const [killed, good, older] = ['killed', 'good', 'older'].map(name => [
    object('Deployment', name),
  ]) as [Manifest[], Manifest[], Manifest[]]
  assert.equal(
    titles(findOrphans([object('Deployment', 'good')], [killed, good], [older], []).removed),
    ['Deployment killed'],
  )
})

test('a generated ConfigMap goes when nothing that may start a pod names it, however old it is', () => {
  const map = (name: string) => object('ConfigMap', name)
  const holder = {
    spec: {
      template: {
        spec: { containers: [{ envFrom: [{ configMapRef: { name: 'a-5c9t8d7m6k' } }] }] },
      },
    },
  }
  const { removed, generated } = findOrphans(
    [],
    [[map('a-5c9t8d7m6k'), map('b-6c9t8d7m6k'), map('plain')]],
    [[map('c-7c9t8d7m6k')]],
    [holder],
  )
  assert.equal(titles(generated), ['ConfigMap b-6c9t8d7m6k', 'ConfigMap c-7c9t8d7m6k'])
  assert.equal(titles(removed), ['ConfigMap plain'])
})

test('what the cluster will not take is said with the way round', () => {
  assert.match(
    explainServerError(
      'The StatefulSet "kgc-db" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \'replicas\' are forbidden',
    ),
    /StatefulSet kgc-db: .*kubectl delete statefulset kgc-db --cascade=orphan/,
  )
  assert.match(
    explainServerError(
      'The Deployment "kgc-api" is invalid: spec.selector: Invalid value: {}: field is immutable',
    ),
    /Deployment kgc-api: .*\(spec.selector\); restore it/,
  )
  assert.match(
    explainServerError(
      'Error from server (NotFound): error when creating "STDIN": namespaces "kgc-x" not found',
    ),
    /namespace kgc-x is not there/,
  )
  assert.match(
    explainServerError(
      'error: resource mapping not found: no matches for kind "SealedSecret" in version "bitnami.com/v1alpha1"',
    ),
    /does not know SealedSecret/,
  )
})

test('kubernetes/kubernetes#99399, helm/charts#15563: one refused object is one reason, with its causes and a way on', () => {
  const volume = [
    'Error from server (Invalid): PersistentVolumeClaim "media" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
    '@@ -1,6 +1,6 @@',
    ' {',
    '- "AccessModes": ["ReadWriteOnce"],',
    '+ "AccessModes": ["ReadWriteMany"],',
    '  "Selector": null,',
  ]
  assert.match(
    explainServerError(volume.join('\n')),
    /^PersistentVolumeClaim media: .*its size.*another name and copy its data$/,
  )
  const faults =
    'Error from server (Invalid): Deployment.apps "web" is invalid: [spec.replicas: Invalid value: -1, spec.template.spec.containers[0].image: Required value]'
  assert.match(explainServerError(faults), /^Deployment web is invalid: \[spec.*Required value\]$/)
})

test('kubernetes/kubernetes#25238, kubernetes/kubernetes#95695: an autoscaler and a number beside it; one that stands at 0', () => {
  const scaled = (replicas?: number) => {
    const web = workload('web')
    if (replicas !== undefined) web.spec.replicas = replicas
    return web
  }
  const autoscaler = (minReplicas?: number) =>
    object('HorizontalPodAutoscaler', 'web', {
      spec: { scaleTargetRef: { kind: 'Deployment', name: 'web' }, minReplicas },
    })
  assert.equal(findFixedReplicas([scaled(), autoscaler(2)]), [])
  assert.equal(findFixedReplicas([scaled(3)]), [])
  assert.match(
    findFixedReplicas([scaled(3), autoscaler(2)])[0]!,
    /^Deployment web sets replicas: 3/,
  )
  const all = [scaled(), autoscaler(2)]
  assert.equal(findStoppedTargets(all, [scaled(1)]), [])
  assert.equal(findStoppedTargets(all, []), [])
  assert.equal(findStoppedTargets([scaled(), autoscaler(0)], [scaled(0)]), [])
  assert.equal(findStoppedTargets([scaled(2), autoscaler(2)], [scaled(0)]), [])
  assert.match(findStoppedTargets(all, [scaled(0)])[0]!, 'scale deployment/web --replicas 2')
})

test('opendatahub-io/models-as-a-service#840: what kustomize takes otherwise than it looks is told with its line', () => {
  const base = mkdtempSync(join(tmpdir(), 'kgc-settings-'))
  process.once('exit', () => rmSync(base, { recursive: true, force: true }))
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(base, path)), { recursive: true })
    writeFileSync(join(base, path), text)
  }
  put(
    'over/kustomization.yaml',
    `resources: [../base]\nconfigMapGenerator: [{ name: stack, literals: [A=1, 'B="hunter22"'] }]\n`,
  )
  put('base/kustomization.yaml', 'configMapGenerator: [{ name: c, envs: [config.env] }]\n')
  const lines = ['# a', 'A=x=y#z', 'B="hunter22"', 'C=hunter22 # note', 'D=hunter22 ', 'E=', '']
  put('base/config.env', `\uFEFF${lines.join('\r\n')}`)
  const found = findSettingProblems('over', base)
  assert.equal(
    found.map(({ text, fatal }) => [text.replace(/ has .*/, ''), fatal]),
    [
      ['over/kustomization.yaml: B of stack', false],
      ['base/config.env: line 3: B', false],
      ['base/config.env: line 4: C', false],
      ['base/config.env: line 5: D', false],
    ],
  )
  assert.not.match(JSON.stringify(found), 'hunter22')
  put('base/config.env', 'HOME\nexport A=1\n')
  const fatal = findSettingProblems('over', base).filter(one => one.fatal)
  assert.match(fatal[0]!.text, 'config.env: line 1: HOME has no =: kustomize takes its value from')
  assert.match(fatal[1]!.text, 'line 2: A begins with "export"')
  for (const overlay of listEnvironments())
    assert.equal(findSettingProblems(`infra/k8s/overlays/${overlay}`), [], overlay)
})

test('an image is read as its parts', () => {
  assert.equal(parseImage('redis'), {
    host: 'registry-1.docker.io',
    name: 'redis',
    repository: 'library/redis',
  })
  assert.equal(parseImage('twentycrm/twenty:v2'), {
    host: 'registry-1.docker.io',
    name: 'twentycrm/twenty',
    repository: 'twentycrm/twenty',
    tag: 'v2',
  })
  assert.equal(parseImage(`127.0.0.1:5001/a/b:c@${digest}`), {
    host: '127.0.0.1:5001',
    name: '127.0.0.1:5001/a/b',
    repository: 'a/b',
    tag: 'c',
    digest,
  })
  assert.is(parseImage('localhost:5000/a').tag, undefined)
})

test('forbidden version steps are refused, others are not', () => {
  const step = (hops: UpgradeRule[], from: string, to: string) =>
    findBlockedUpgrades(hops, [from], [to]).length
  const cases: [UpgradeRule[], string, [string, string, number][]][] = [
    [
      chatwoot,
      'chatwoot/chatwoot',
      [
        ['v3.16.0-ce', 'v4.18.0-ce', 1],
        ['v3.16.0-ce', 'v4.1.0-ce', 0],
        ['v4.1.0', 'v4.18.0', 0],
        ['v4.18.0', 'v4.17.1', 1],
        ['v4.18.1', 'v4.18.0', 0],
        ['demo', 'v4.18.0', 0],
      ],
    ],
    [
      chatwoot,
      'pgvector/pgvector',
      [
        ['0.8.6-pg17-trixie', '0.8.6-pg18-trixie', 1],
        ['0.8.5-pg17', '0.8.6-pg17-trixie', 0],
      ],
    ],
    [
      twenty,
      'twentycrm/twenty',
      [
        ['v1.15.0', 'v1.17.0', 1],
        ['v1.15.0', 'v1.16.2', 0],
        ['v1.21.0', 'v2.45.6', 1],
        ['v1.22.0', 'v2.45.6', 0],
        ['v2.1.0', 'v2.45.6', 0],
        ['v2.45.6', 'v2.44.0', 1],
        ['v2.45.6', 'v2.45.5', 0],
      ],
    ],
    [
      kgc,
      'postgres',
      [
        ['17.11-alpine', '18.0-alpine', 1],
        ['17.10', '17.11-alpine', 0],
        ['17', '18', 1],
      ],
    ],
  ]
  for (const [hops, name, steps] of cases)
    for (const [from, to, count] of steps)
      assert.is(step(hops, `${name}:${from}`, `${name}:${to}`), count, `${name} ${from} → ${to}`)
})

/** A registry that wants a token. */
function registry(): Promise<{ server: Server; host: string; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (request.url!.startsWith('/token'))
      return void response.end(JSON.stringify({ token: 'canary-token' }))
    if (request.url!.includes('/broken/')) return void response.writeHead(500).end()
    const { host } = request.headers
    if (request.headers.authorization !== 'Bearer canary-token')
      return void response
        .writeHead(401, {
          'www-authenticate': `Bearer realm="http://${host}/token",service="s",scope="repository:a:pull"`,
        })
        .end()
    if (request.url!.endsWith('/gone') || !request.headers.accept?.includes('oci.image.index'))
      return void response.writeHead(404).end()
    response.writeHead(200, { 'docker-content-digest': digest }).end()
  })
  return new Promise(done =>
    server.listen(0, '127.0.0.1', () =>
      done({ server, asked, host: `127.0.0.1:${(server.address() as { port: number }).port}` }),
    ),
  )
}

test('a registry is asked with a token of its own server; what is not there is said', async () => {
  const { server, host, asked } = await registry()
  process.env.DOCKER_CONFIG = '/nonexistent'
  const fails = (image: string) =>
    fetchImageDigest(image).then(
      () => '',
      error => (error as Error).message,
    )
  try {
    assert.is(await fetchImageDigest(`${host}/a:1`), digest)
    assert.equal(asked, [
      'HEAD /v2/a/manifests/1',
      'GET /token?service=s&scope=repository%3Aa%3Apull',
      'HEAD /v2/a/manifests/1',
    ])
    assert.is(await fails(`${host}/a:gone`), `it is not in ${host}`)
    assert.is(await fails(`${host}/broken/a:1`), `${host} answers 500`)
  } finally {
    server.close()
  }
  assert.match(await fails('127.0.0.1:9/a:1'), /cannot be reached|bad port/)
})

test.run()
