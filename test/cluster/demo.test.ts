// The demo overlay on the test cluster, from nothing: what is promised of it, and what becomes of
// it when things happen to it.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checks } from '../../infra/docker/kgc/smoke.ts'
import type { SmokeContext } from '../../scripts/lib/smoke/checks.ts'
import { localEdge } from '../../scripts/lib/smoke/edge.ts'
import { beforeAll } from '../hooks.ts'
import { get, kubectl, registry, stopAtExit, tool } from './cluster.ts'
import { copy, type Json } from './manifests.ts'
import { waitUntil } from '../until.ts'

const test = suite('demo')
const overlays = join(copy.root, 'infra/k8s/overlays')
const apply = (folder: string) =>
  kubectl(['apply', '--kustomize', join(overlays, folder)], { timeout: 120_000 })
const inDemo = ['--namespace', 'kgc-demo']
const pods = (): Json[] =>
  get('pods', ...inDemo).items.filter(({ metadata }: Json) => !metadata.deletionTimestamp)
const isReady = ({ status }: Json) =>
  status.phase === 'Succeeded' ||
  status.conditions?.some(({ type, status }: Json) => type === 'Ready' && status === 'True')
const names = (list: Json[]) => list.map(({ metadata }) => metadata.name).sort()

/**
 * Waits until as many pods as there should be are Ready; says which are not when they do not become
 * it.
 */
async function allReady(seconds: number) {
  let waiting: string[] = []
  const ready = () => {
    const list = pods()
    waiting = names(list.filter(pod => !isReady(pod)))
    // 17 stay; the pods of Jobs end, and a drain removes them
    return list.filter(({ status }) => status.phase !== 'Succeeded').length >= 17 && !waiting.length
  }
  // each look is a process: five a second would take from the pods what they need to become Ready
  await waitUntil('all pods Ready', seconds, ready, 1000).catch(error => {
    throw new Error(`${error.message}: ${waiting.join(', ')}`)
  })
}
/** What changes when an object is changed in earnest; HPA and Services count no generations. */
function generations() {
  const { items } = get(
    'deployments,statefulsets,jobs,services,ingresses,networkpolicies,hpa,pdb',
    ...inDemo,
  )
  return Object.fromEntries(
    items.map(({ kind, metadata }: Json) => [`${kind} ${metadata.name}`, metadata.generation]),
  )
}

/**
 * Removes the demo. The pods first and at once: a namespace is not looked at again before half of
 * the longest grace period is over.
 */
function clear() {
  kubectl(['delete', 'deployments,statefulsets,jobs', '--all', ...inDemo, '--ignore-not-found'], {
    nothrow: true,
    timeout: 120_000,
  })
  kubectl(['delete', 'pods', '--all', '--grace-period=1', ...inDemo, '--ignore-not-found'], {
    nothrow: true,
    timeout: 120_000,
  })
  kubectl(['delete', 'namespace', 'kgc-demo', '--ignore-not-found'], { timeout: 180_000 })
}

// secrets are made anew with each copy, and a database keeps the password that it was made with
beforeAll(test, () => {
  stopAtExit('kgc-demo')
  clear()
  apply('demo/cluster')
})
test.after(clear)

test('all pods are Ready within five minutes of one apply, and nothing crashes on the way', async () => {
  const start = Date.now()
  apply('demo')
  await allReady(300)
  console.log(`Ready after ${Math.round((Date.now() - start) / 1000)} s`)
  for (const { metadata, status } of pods())
    for (const { name, restartCount } of [
      ...status.containerStatuses,
      ...(status.initContainerStatuses ?? []),
    ])
      assert.is(restartCount, 0, `${metadata.name}: ${name}`)
})

test('six hosts answer through Traefik, each with its own application, three of them once their administrator has opened the door', async () => {
  const edge = localEdge(false)
  await waitUntil(
    'Traefik Ready',
    60,
    () => get('deployment', 'traefik', '--namespace', 'traefik').status.readyReplicas === 1,
  )
  for (const host of ['crm', 'support', 'hr'])
    assert.match(
      (await edge.get(`https://${host}.kgc.localhost:18443/`)).body,
      'No application can be reached at this address',
      host,
    )
  kubectl(['label', 'ingress', 'twenty', 'chatwoot', 'horilla', 'kgc.hu/door=open', ...inDemo])
  await waitUntil('Traefik serves them', 20, () =>
    tool('curl', [
      '-sk',
      '--resolve',
      'hr.kgc.localhost:18443:127.0.0.1',
      'https://hr.kgc.localhost:18443/login/',
    ]).stdout.includes('Horilla'),
  )
  const pages = {
    app: '/',
    admin: '/',
    api: '/api/v1/health',
    crm: '/',
    support: '/api',
    hr: '/login/',
  }
  const own = {
    app: /<html lang="hu">/,
    admin: /401 Authorization Required/,
    api: /"status":"ok"/,
    crm: /Twenty/,
    support: /"queue_services":"ok"/,
    hr: /Horilla/,
  }
  for (const [host, path] of Object.entries(pages)) {
    const { status, body, headers } = await edge.get(`https://${host}.kgc.localhost:18443${path}`)
    assert.is(status, host === 'admin' ? 401 : 200, host)
    assert.match(body, own[host as keyof typeof own], host)
    assert.is(headers.get('strict-transport-security'), 'max-age=31536000', host)
  }
  assert.match(
    (await edge.get('https://app.kgc.localhost:18443/api/v1/ready')).body,
    /"ready"/,
    'KGC Web calls the API at its own address',
  )
  assert.match(
    kubectl([
      'exec',
      ...inDemo,
      'deployment/kgc-web',
      '--',
      'wget',
      '-qO-',
      'http://127.0.0.1/api/v1/health',
    ]),
    /"ok"/,
    'its nginx alone does so, too',
  )
  const context = {
    edge,
    env: parse(readFileSync(join(copy.docker, 'kgc/.env.demo'))),
    address: (name: string) => `https://${name}.kgc.localhost:18443`,
  }
  for (const check of checks.filter(({ name }) => /source|password|documentation/.test(name)))
    await check.run(context as unknown as SmokeContext)
})

test('a second apply changes nothing', () => {
  const before = generations()
  const list = names(pods())
  apply('demo')
  assert.equal(generations(), before)
  assert.equal(names(pods()), list)
  assert.is(
    tool('kubectl', ['diff', '--kustomize', join(overlays, 'demo')], { nothrow: true }).stdout,
    '',
  )
})

const psql = (sql: string) =>
  kubectl(
    ['exec', ...inDemo, 'kgc-db-0', '--', 'psql', '-U', 'postgres', '-d', 'kgc', '-tAc', sql],
    { timeout: 20_000 },
  )

test('prisma/orm#14860, #26306: a migration that failed under another version keeps no new pod from becoming Ready', async () => {
  psql(
    "CREATE TABLE _prisma_migrations AS SELECT '20990101000000_of_another' AS migration_name; INSERT INTO kgc_stack.schema_versions (checksum, how) VALUES ('another', 'begun')",
  )
  const old = names(pods()).filter(name => name.startsWith('kgc-api-'))
  kubectl(['delete', 'pod', ...inDemo, old[0]!])
  await allReady(90)
  psql(
    "DROP TABLE _prisma_migrations; DELETE FROM kgc_stack.schema_versions WHERE checksum = 'another'",
  )
  assert.not.ok(names(pods()).includes(old[0]!))
})

test('a database pod that is killed loses no row', async () => {
  psql(
    'CREATE TABLE IF NOT EXISTS public.k8s_test (n int); INSERT INTO public.k8s_test SELECT generate_series(1, 1000)',
  )
  const database = () => pods().find(({ metadata }) => metadata.name === 'kgc-db-0')
  const { uid } = database()!.metadata
  kubectl(['delete', 'pod', ...inDemo, 'kgc-db-0', '--grace-period=0', '--force'])
  await waitUntil('another pod of the database Ready', 120, () => {
    const pod = database()
    return pod && pod.metadata.uid !== uid && isReady(pod)
  })
  assert.is(
    psql('SELECT count(*) FROM public.k8s_test; DROP TABLE public.k8s_test').trim().split('\n')[0],
    '1000',
  )
})

test('a changed value rolls the pods that read it, and no others', async () => {
  const file = join(copy.root, 'infra/k8s/base/horilla-hr/config.env')
  const text = readFileSync(file, 'utf8')
  const before = names(pods())
  writeFileSync(file, text.replace('DJANGO_LOG_LEVEL=INFO', 'DJANGO_LOG_LEVEL=WARNING'))
  apply('demo')
  writeFileSync(file, text)
  for (const name of ['deployment/horilla-web', 'deployment/horilla-scheduler'])
    kubectl(['rollout', 'status', ...inDemo, name, '--timeout=180s'], { timeout: 190_000 })
  await waitUntil('the old pods gone', 60, () => names(pods()).length === before.length)
  assert.equal(
    before.filter(name => !names(pods()).includes(name)).every(name => name.startsWith('horilla-')),
    true,
  )
  assert.is(names(pods()).filter(name => !before.includes(name)).length, 2)
})

test('a StatefulSet with a bad image is healed by a good one', async () => {
  const container = () => get('pod', 'kgc-redis-0', ...inDemo).status.containerStatuses?.[0] ?? {}
  kubectl([
    'set',
    'image',
    ...inDemo,
    'statefulset/kgc-redis',
    'redis=127.0.0.1:5001/kgc-demo/redis:none',
  ])
  await waitUntil('the bad image is noticed', 60, () =>
    /ImagePull/.test(container().state?.waiting?.reason ?? ''),
  )
  const start = Date.now()
  kubectl(['rollout', 'undo', ...inDemo, 'statefulset/kgc-redis'])
  await waitUntil('the good one runs', 60, () => container().ready)
  assert.ok(Date.now() - start < 45_000)
})

test('Pod Security refuses a privileged pod', () => {
  const { code, stderr } = tool(
    'kubectl',
    ['run', ...inDemo, 'privileged', '--image=127.0.0.1:5001/kgc-demo/redis:8', '--privileged'],
    { nothrow: true },
  )
  assert.is.not(code, 0)
  assert.match(stderr, /violates PodSecurity "baseline/)
})

test('a drain ends, and after it everything comes back', async () => {
  const node = get('nodes').items[0].metadata.name
  const argv = [
    'drain',
    node,
    '--ignore-daemonsets',
    '--delete-emptydir-data',
    '--pod-selector=app.kubernetes.io/part-of',
    '--timeout=240s',
  ]
  kubectl(argv, { timeout: 250_000 })
  kubectl(['uncordon', node])
  await allReady(300)
})

test('a pod that nobody thought of reaches no database; one that may does', () => {
  const tries = [
    '--command',
    '--',
    'timeout',
    '10',
    'sh',
    '-c',
    'until pg_isready --host kgc-db --timeout 1; do sleep 1; done',
  ]
  const connect = (name: string) => {
    const pod = [
      name,
      `--image=${registry}/kgc-demo/postgres:17`,
      `--labels=app.kubernetes.io/name=${name}`,
      '--restart=Never',
      '--rm',
      '--attach',
      '--quiet',
    ]
    return tool('kubectl', ['run', ...inDemo, ...pod, ...tries], { nothrow: true }).code
  }
  assert.is(connect('kgc-migrate'), 0)
  assert.is.not(connect('stranger'), 0)
})

test('the deployer may deploy to its own namespace, and to no other', () => {
  const deployer = ['--as', 'system:serviceaccount:kgc-staging:deployer']
  const can = (verb: string, what: string, namespace: string) =>
    tool('kubectl', ['auth', 'can-i', verb, what, '--namespace', namespace, ...deployer], {
      nothrow: true,
    }).stdout.trim()
  for (const what of [
    'deployments.apps',
    'jobs.batch',
    'sealedsecrets.bitnami.com',
    'ingresses.networking.k8s.io',
    'configmaps',
  ])
    assert.is(can('patch', what, 'kgc-staging'), 'yes', what)
  assert.is(can('update', 'leases.coordination.k8s.io', 'kgc-staging'), 'yes')
  assert.is(can('list', 'nodes', 'kgc-staging'), 'yes')
  for (const what of ['secrets', 'rolebindings.rbac.authorization.k8s.io', 'namespaces'])
    assert.is(can('create', what, 'kgc-staging'), 'no', what)
  assert.is(can('patch', 'deployments.apps', 'kgc-production'), 'no')
})

test.run()
