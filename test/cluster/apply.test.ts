// What tools and the API server itself say of the manifests. Nothing is created.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { get, kubectl, tool } from './cluster.ts'
import {
  build,
  buildOverlay,
  copy,
  environments,
  find,
  labelsOf,
  mainOf,
  of,
  podOf,
  selects,
  title,
  workloads,
  type Json,
} from './manifests.ts'
import { location, writeSchemas } from './schemas.ts'

const test = suite('apply')
const overlays = environments.map(name => `overlays/${name}`)
const clusterWide = ['cluster', 'overlays/demo/cluster']
// as Go's tools read it: `on` is true there unless it stands in quotes
const text = (objects: Json[]) =>
  objects.map(object => stringify(object, { version: '1.1' })).join('---\n')

const schemas = mkdtempSync(join(tmpdir(), 'kgc-schemas-'))
process.once('exit', () => rmSync(schemas, { recursive: true, force: true }))
writeSchemas(JSON.parse(kubectl(['get', '--raw', '/openapi/v2'])), schemas)
const conforms = (objects: Json[]) =>
  tool('kubeconform', ['-strict', '-summary', '-schema-location', location(schemas), '-'], {
    input: text(objects),
    nothrow: true,
  })

for (const folder of [...overlays, ...clusterWide])
  test(`${folder}: kubeconform -strict finds nothing, with the CRDs' schemas`, () => {
    const { code, stdout, stderr } = conforms(build(folder))
    assert.is(code, 0, stdout + stderr)
    assert.match(stdout, /Invalid: 0, Errors: 0, Skipped: 0/)
  })

test('kubeconform would find a key that does not exist', () => {
  const [first] = workloads(build('overlays/demo'))
  assert.is.not(conforms([{ ...first!, spec: { ...first!.spec, minReadySecs: 5 } }]).code, 0)
})

// upstream's images: their users are below 10000 and their root file systems partly writable
// (parity.test.ts compares that with Compose); an exact tag needs no pull at each start; nobody has
// measured their ephemeral storage
const unfit = [
  'container-security-context-user-group-id',
  'container-image-pull-policy',
  'container-ephemeral-storage-request-and-limit',
]
/** Policies for the Jobs that scripts/backup.ts makes: their pods come and go. */
const forJobs = /^(kgc|twenty|chatwoot|horilla)-backup$/
const writable = /^(twenty-(server|worker)|chatwoot-(web|sidekiq|prepare))$/

for (const folder of [...overlays, 'cluster'])
  test(`${folder}: kube-score finds nothing critical`, () => {
    const argv = ['score', '--output-format', 'json', '--ignore-test', unfit.join(','), '-']
    const { stdout } = tool('kube-score', argv, { input: text(build(folder)), nothrow: true })
    const found = (JSON.parse(stdout) as Json[]).flatMap(({ object_name: name, checks }) => {
      const object = name.split('/').at(-1)
      return checks
        .filter(({ grade, skipped }: Json) => grade === 1 && !skipped)
        .filter(
          ({ check }: Json) =>
            !(
              check.id === 'container-security-context-readonlyrootfilesystem' &&
              writable.test(object)
            ) && !(check.id === 'networkpolicy-targets-pod' && forJobs.test(object)),
        )
        .map(
          ({ check, comments }: Json) =>
            `${object}: ${check.id}: ${comments?.map(({ summary }: Json) => summary).join('; ')}`,
        )
    })
    assert.equal(found, [])
  })

for (const folder of overlays)
  test(`${folder}: the API server would take it`, () => {
    const { namespace } = build(folder)[0]!.metadata
    // without its namespace a dry run fails, and it does not create it
    const known = get('namespaces').items.map(({ metadata }: Json) => metadata.name)
    if (!known.includes(namespace))
      kubectl(['apply', '--kustomize', join(copy.root, 'infra/k8s/overlays/demo/cluster')])
    const argv = [
      'apply',
      '--dry-run=server',
      '--server-side',
      '--force-conflicts',
      '--field-manager=kubectl',
      '--validate=strict',
      '-f',
      '-',
    ]
    // a Job that is there cannot be changed, not even to be asked
    const { code, stderr } = tool('kubectl', argv, {
      input: text(build(folder).filter(({ kind }) => kind !== 'Job')),
      nothrow: true,
    })
    assert.is(code, 0, stderr)
  })

for (const folder of clusterWide)
  test(`${folder}: the API server would take it`, () => {
    const { code, stderr } = tool(
      'kubectl',
      ['apply', '--dry-run=server', '--validate=strict', '-f', '-'],
      { input: text(build(folder)), nothrow: true },
    )
    assert.is(code, 0, stderr)
  })

test('component external-postgres: no database in the cluster, and the old names lead outside', () => {
  const host = { name: 'external-postgres', literals: ['HOST=db.example.net'] }
  const all = buildOverlay({
    resources: ['../staging'],
    components: ['../../components/external-postgres'],
    configMapGenerator: [host],
  })
  const own = build('overlays/staging')
  const names = of(own, 'StatefulSet').map(({ metadata }) => metadata.name as string)
  const databases = names.filter(name => name.endsWith('-db'))
  assert.ok(databases.length >= 4)
  assert.equal(
    of(all, 'StatefulSet')
      .map(({ metadata }) => metadata.name)
      .sort(),
    names.filter(name => !databases.includes(name)).sort(),
  )
  for (const name of databases)
    assert.equal(find(all, 'Service', name).spec, {
      type: 'ExternalName',
      externalName: 'db.example.net',
    })
  // asks as whom the applications log in, for the extensions that a database of the stack's own is
  // made with
  const job = workloads(all).find(({ metadata }) => metadata.name === 'external-postgres-check')!
  const variable = (env: Json[], key: string): Json | undefined => env.find(one => one.name === key)
  for (const { name, command, env } of podOf(job).containers) {
    const server = mainOf(workloads(own).find(({ metadata }) => metadata.name === `${name}-db`)!)
      .env as Json[]
    const login = variable(server, 'DATABASE_LOGIN')?.valueFrom
    assert.ok(login, name)
    assert.equal(variable(env, 'PGUSER')?.valueFrom, login)
    const extensions = variable(server, 'DATABASE_EXTENSIONS')?.value ?? ''
    assert.ok(command.includes(`extensions=${extensions}`), name)
  }
  assert.equal(
    podOf(job)
      .containers.map(({ name }: Json) => `${name}-db`)
      .sort(),
    databases.sort(),
  )
  // who reached a database in the cluster reaches one outside, and nobody else
  const reaching = (objects: Json[], meant: (rule: Json) => boolean) =>
    workloads(objects)
      .filter(one =>
        of(objects, 'NetworkPolicy').some(
          ({ spec }) => selects(spec.podSelector, labelsOf(one)) && (spec.egress ?? []).some(meant),
        ),
      )
      .map(({ metadata }) => metadata.name)
      .sort()
  const asks = ({ ports }: Json) => ports?.some(({ port }: Json) => port === 5432)
  assert.equal(
    reaching(all, rule => asks(rule) && !rule.to),
    [...reaching(own, asks), 'external-postgres-check'].sort(),
  )
  assert.is(conforms(all).code, 0)
})

test('component row-security: the API alone comes as kgc_app, as on Compose', () => {
  const all = buildOverlay({
    resources: ['../staging'],
    components: ['../../components/row-security'],
  })
  const users = workloads(all).flatMap(one =>
    [...podOf(one).containers, ...(podOf(one).initContainers ?? [])].flatMap(
      ({ name, env = [] }: Json) => {
        const [, user] =
          /^postgresql:\/\/([^:]+):/.exec(
            env.find((entry: Json) => entry.name === 'DATABASE_URL')?.value ?? '',
          ) ?? []
        const key = env.find((entry: Json) => entry.name === 'KGC_DB_PASSWORD')?.valueFrom
          .secretKeyRef.key
        return user ? [`${one.metadata.name} ${name}: ${user} by ${key}`] : []
      },
    ),
  )
  assert.equal(
    users.filter(words => words.includes('kgc_app')),
    ['kgc-api kgc-api: kgc_app by KGC_DB_APP_PASSWORD'],
  )
  assert.ok(
    users.length > 1 &&
      users.every(words =>
        /kgc_app by KGC_DB_APP|\$\(KGC_DB_LOGIN\) by KGC_DB_PASSWORD/.test(words),
      ),
    users.join(),
  )
  const argv = [
    'KGC_DB_ROW_SECURITY=on',
    'docker',
    'compose',
    '-f',
    join(copy.docker, 'kgc/docker-compose.yml'),
    '--env-file',
    join(copy.docker, 'kgc/.env'),
    'config',
    '--format',
    'json',
  ]
  const { stdout } = tool('env', argv)
  assert.match(
    JSON.parse(stdout).services['kgc-api'].environment.DATABASE_URL,
    /^postgresql:\/\/kgc_app:/,
  )
})

test("component s3-storage: no shared volume but Horilla's, nothing tied to a node", () => {
  const all = buildOverlay({
    resources: ['../staging'],
    components: ['../../components/s3-storage'],
  })
  assert.equal(of(all, 'PersistentVolumeClaim').map(title), ['PersistentVolumeClaim horilla-media'])
  for (const name of ['twenty-server', 'twenty-worker', 'chatwoot-web', 'chatwoot-sidekiq']) {
    const workload = workloads(all).find(({ metadata }) => metadata.name === name)!
    assert.not.ok(
      podOf(workload).affinity ||
        podOf(workload).volumes?.some(({ persistentVolumeClaim }: Json) => persistentVolumeClaim),
      name,
    )
    assert.not.ok(
      mainOf(workload).volumeMounts?.some((mount: Json) => mount.name === 'storage'),
      name,
    )
  }
  assert.is(find(all, 'ConfigMap', 'twenty-crm-config').data.STORAGE_TYPE, 's3')
  assert.is(find(all, 'ConfigMap', 'chatwoot-config').data.ACTIVE_STORAGE_SERVICE, 's3_compatible')
  assert.is(conforms(all).code, 0)
})

test('component cert-manager: a certificate for every host, and none by Traefik', () => {
  const stack = { name: 'stack', literals: ['DOMAIN=kgc.hu', 'URL_PORT=', 'TZ=Europe/Budapest'] }
  const all = buildOverlay({
    resources: ['../../base'],
    components: ['../../components/domain', '../../components/cert-manager'],
    configMapGenerator: [stack],
  })
  const hosts = of(all, 'Ingress').flatMap(({ spec }) =>
    (spec.tls ?? []).flatMap(({ hosts }: Json) => hosts),
  )
  const served = of(all, 'Ingress').flatMap(({ spec }) => spec.rules.map(({ host }: Json) => host))
  assert.equal(hosts.sort(), [...new Set(served)].sort())
  for (const name of ['admin', 'api', 'app', 'crm', 'hr', 'support'])
    assert.ok(hosts.includes(`${name}.kgc.hu`), name)
  for (const { metadata } of of(all, 'Ingress'))
    assert.not.ok(metadata.annotations['traefik.ingress.kubernetes.io/router.tls.certresolver'])
  assert.is(conforms(all).code, 0)
})

test("component api-docs: what KGC's API serves beside /api/v1 is closed without it, and smoke knows", () => {
  const middlewares = (all: Json[]) =>
    find(all, 'Ingress', 'kgc-api-docs').metadata.annotations[
      'traefik.ingress.kubernetes.io/router.middlewares'
    ]
  const all = buildOverlay({ resources: ['../staging'], components: ['../../components/api-docs'] })
  assert.equal(
    [middlewares(build('overlays/staging')), middlewares(all)],
    ['headers@file,docs-off@file', 'headers@file,docs-on@file'],
  )
  assert.is(find(all, 'ConfigMap', 'stack').data.KGC_API_DOCS, 'on')
  assert.is(conforms(all).code, 0)
})

test('component smtp-login: all three of Chatwoot know the password', () => {
  const user = { name: 'chatwoot-config', behavior: 'merge', literals: ['SMTP_USERNAME=kgc'] }
  const all = buildOverlay({
    resources: ['../staging'],
    components: ['../../components/smtp-login'],
    configMapGenerator: [user],
  })
  for (const name of ['chatwoot-web', 'chatwoot-sidekiq', 'chatwoot-prepare'])
    assert.ok(
      mainOf(workloads(all).find(({ metadata }) => metadata.name === name)!).env.some(
        (one: Json) => one.name === 'SMTP_PASSWORD',
      ),
      name,
    )
})

test.run()
