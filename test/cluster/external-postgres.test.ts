// A server outside of the cluster, as the component external-postgres reaches it: its check passes,
// or its log names the grant that is missing.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../sandbox.ts'
import { waitUntil } from '../until.ts'
import { apply, get, kubectl, namespace, registry } from './cluster.ts'
import { buildOverlay, copy, find, of, podOf, type Json } from './manifests.ts'

const test = suite('external postgres')
const outside = namespace('outside')
const inside = namespace('external-postgres', {
  'pod-security.kubernetes.io/enforce': 'restricted',
})
const there = ['--namespace', outside]
const here = ['--namespace', inside]

kubectl(['apply', '--kustomize', join(copy.root, 'infra/k8s/overlays/demo/cluster')])
const all = buildOverlay({
  resources: ['../demo'],
  components: ['../../components/external-postgres'],
  configMapGenerator: [
    { name: 'external-postgres', literals: [`HOST=server.${outside}.svc.cluster.local`] },
  ],
  images: [{ name: 'postgres', newName: `${registry}/kgc-demo/postgres`, newTag: '17' }],
})
const job = find(all, 'Job', 'external-postgres-check')
const container = (name: string): Json =>
  podOf(job).containers.find((one: Json) => one.name === name)
const extensionsOf = (name: string): string[] =>
  /extensions=(.*)/.exec(container(name).command.join('\n'))![1]!.split(' ').filter(Boolean)

/** Runs SQL as the server's superuser; `variables` are the environment of psql. */
const psql = (database: string, sql: string, variables: string[] = []): string =>
  kubectl(
    [
      ...['exec', '--stdin', 'server', ...there, '--', 'env', ...variables],
      ...['psql', '-qtAX', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', database, '-f', '-'],
    ],
    { input: sql },
  ).trim()

/** Runs the check; what each container that found something missing wrote last. */
async function check(): Promise<{ succeeded: boolean; missing: Record<string, string> }> {
  kubectl(['delete', 'job', job.metadata.name, ...here, '--ignore-not-found'])
  apply({ ...job, metadata: { ...job.metadata, namespace: inside } })
  let ended = ''
  await waitUntil('the check ends', 180, () => {
    const { status } = get('job', job.metadata.name, ...here)
    ended = status.conditions?.find(
      ({ type, status }: Json) => /^(Complete|Failed)$/.test(type) && status === 'True',
    )?.type
    return Boolean(ended)
  })
  const log = (name: string) =>
    kubectl(['logs', `job/${job.metadata.name}`, '--container', name, ...here])
  const found = podOf(job)
    .containers.map(({ name }: Json) => [name, /missing: .*/.exec(log(name))?.[0]])
    .filter(([, line]: [string, string?]) => line)
  return { succeeded: ended === 'Complete', missing: Object.fromEntries(found) }
}

test('a server that managed.sql has prepared has all that the applications need', async () => {
  const server = {
    name: 'server',
    image: `${registry}/kgc-demo/postgres:17`,
    env: [{ name: 'POSTGRES_PASSWORD', value: 'root' }],
    readinessProbe: { exec: { command: ['pg_isready', '-h', '127.0.0.1'] }, periodSeconds: 1 },
  }
  apply(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'server', namespace: outside, labels: { app: 'server' } },
      spec: { containers: [server], terminationGracePeriodSeconds: 1 },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'server', namespace: outside },
      spec: { selector: { app: 'server' }, ports: [{ port: 5432 }] },
    },
  )
  // all that stands between the check and the server, the closed network included
  const needed = [
    ...of(all, 'NetworkPolicy'),
    find(all, 'ConfigMap', 'postgres-init'),
    ...of(all, 'Service').filter(({ spec }) => spec.type === 'ExternalName'),
  ]
  apply(...needed.map(one => ({ ...one, metadata: { ...one.metadata, namespace: inside } })))
  const secretOf = ({ env }: Json, variable: string) =>
    env.find(({ name }: Json) => name === variable).valueFrom.secretKeyRef as {
      name: string
      key: string
    }
  for (const one of podOf(job).containers) {
    const { name, key } = secretOf(one, 'PGPASSWORD')
    apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: inside },
      stringData: { [key]: `of-${name}`, [secretOf(one, 'PGUSER').key]: `${one.name}_a` },
    })
  }
  await waitUntil('the server is ready', 120, () =>
    get('pod', 'server', ...there).status.conditions?.some(
      ({ type, status }: Json) => type === 'Ready' && status === 'True',
    ),
  )
  const sql = readFileSync(join(repository, 'infra/docker/postgres/managed.sql'), 'utf8')
  for (const one of podOf(job).containers)
    psql('postgres', sql, [
      `DATABASE=${one.name}`,
      `DATABASE_PASSWORD=of-${secretOf(one, 'PGPASSWORD').name}`,
      'DATABASE_APP_PASSWORD=app',
      `DATABASE_EXTENSIONS=${extensionsOf(one.name)
        .map(one => `"${one}"`)
        .join(', ')}`,
    ])
  assert.equal(await check(), { succeeded: true, missing: {} })
})

test('what one application lacks fails the check, and the log of its container alone names it', async () => {
  psql('chatwoot', 'DROP EXTENSION pg_trgm')
  psql('postgres', 'ALTER ROLE kgc_a RESET role')
  const { succeeded, missing } = await check()
  assert.is(succeeded, false)
  assert.equal(Object.keys(missing).sort(), ['chatwoot', 'kgc'])
  assert.match(missing.chatwoot!, 'CREATE EXTENSION pg_trgm, in the database chatwoot')
  assert.match(missing.kgc!, 'ALTER ROLE kgc_a SET role TO kgc_owner')
})

test.run()
