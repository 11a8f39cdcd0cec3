// The demo moves from Compose to Kubernetes and back, each way by a backup and its restore: rows, files and
// log-ins as before. Two whole stacks take 20 minutes and all processors: `make soak` runs it.
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'dotenv'
import { edgeAt, type Edge } from '../../../scripts/lib/smoke/edge.ts'
import { beforeAll } from '../../hooks.ts'
import type { Result } from '../../sandbox.ts'
import { removeAll } from '../../compose/project.ts'
import { clusterEnv, kubectl } from '../cluster.ts'
import { box, clear, domain, here, overlays, prepare } from '../whole/environment.ts'

const test = suite('move between Compose and Kubernetes')
const project = 'kgc-test-move'
const port = 18220
const to = join(box.root, 'backups')
const key = join(box.root, 'backup.key')
const onCluster = ['demo', '--target', 'kubernetes']

const run = (argv: string[], env: Record<string, string> = {}): Result =>
  box.script(argv, { env: { KGC_PROJECT: project, ...env }, timeout: 900_000 })
const runOnCluster = (argv: string[]): Result =>
  run(argv, { ...clusterEnv, KUBECONFIG: join(box.root, 'kubeconfig') })
/** Throws what a script has said when it did not end well. */
function good({ code, stdout, stderr }: Result): string {
  assert.is(code, 0, stderr + stdout)
  return stdout
}

/** The databases, and of each application with files the service that has them, its container and its folder. */
const databases = ['kgc', 'twenty', 'chatwoot', 'horilla']
const files = [
  ['twenty-server', 'twenty', '/app/packages/twenty-server/.local-storage'],
  ['chatwoot-web', 'chatwoot', '/app/storage'],
  ['horilla-web', 'horilla', '/app/media'],
] as const

/** Runs a command in a service's container. */
type Run = (service: string, container: string, argv: string[]) => string
const inCompose: Run = (service, _, argv) => {
  const labels = [`com.docker.compose.project=${project}`, `com.docker.compose.service=${service}`]
  const filters = labels.flatMap(label => ['--filter', `label=${label}`])
  const id = execFileSync('docker', ['ps', '-q', ...filters], { encoding: 'utf8' }).trim()
  return execFileSync('docker', ['exec', id, ...argv], { encoding: 'utf8' }).trim()
}
const inCluster: Run = (service, container, argv) => {
  const pod = /-(db|server)$/.test(service) ? `pod/${service}-0` : `deployment/${service}`
  return kubectl(['exec', pod, '--container', container, ...here, '--', ...argv]).trim()
}
const sql = (at: Run, name: string, query: string, user = 'postgres'): string =>
  at(`${name}-db`, 'postgres', ['psql', '-qtAX', '-U', user, '-d', name, '-c', query])

/** Rows of each database and a file of each volume, called as the stack that has written them. */
function write(at: Run, table: string): void {
  for (const name of databases)
    sql(
      at,
      name,
      // in a schema of its own: what migrates knows nothing of it, and would drop it
      `CREATE SCHEMA IF NOT EXISTS ours;
      CREATE TABLE ours.${table} AS SELECT n, 'árvíztűrő ' || n AS word, md5(random()::text) AS noise FROM generate_series(1, 500) n;
      ALTER TABLE ours.${table} ENABLE ROW LEVEL SECURITY`,
      `${name}_a`,
    )
  for (const [service, container, folder] of files)
    at(service, container, [
      ...['sh', '-c', 'mkdir -p "$0/of-$1" && head -c 200000 /dev/urandom >"$0/of-$1/file"'],
      ...[folder, table],
    ])
}

/** A line for each table and each file of those. */
const read = (at: Run, ...tables: string[]): string[] =>
  tables.flatMap(table => [
    ...databases.map(name => {
      const sum = `count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY n))`
      return `${name} ${sql(at, name, `SELECT ${sum} || (SELECT ' of ' || tableowner FROM pg_tables WHERE tablename = '${table}') FROM ours.${table} t`)}`
    }),
    ...files.map(([service, container, folder]) =>
      at(service, container, ['sh', '-c', 'cd "$0" && sha256sum "of-$1/file"', folder, table]),
    ),
  ])

/** Whether Chatwoot's administrator still logs in; smoke does it for Twenty and Horilla. */
async function logsIn(edge: Edge, host: string): Promise<void> {
  const { ADMIN_EMAIL: email, ADMIN_PASSWORD: password } = parse(
    readFileSync(join(box.docker, '.env.demo')),
  )
  const { status, body } = await edge.get(`https://${host}/auth/sign_in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
  })
  assert.is(status, 200, body)
}

const newest = (prefix: string): string =>
  join(
    to,
    readdirSync(to)
      .filter(name => new RegExp(`^${prefix}-\\d+T`).test(name))
      .sort()
      .at(-1)!,
  )

/** Makes a release that differs in what Twenty and Horilla start with. */
const anotherRelease = ['twenty-server', 'horilla-web']
  .map(
    name => `  - target: { kind: Deployment, name: ${name} }
    patch: |-
      - { op: add, path: /spec/template/spec/containers/0/env/-, value: { name: RELEASE, value: second } }
`,
  )
  .join('')

let recipient = ''
let atFirst: string[] = []
let atLast: string[] = []

beforeAll(test, () => {
  removeAll(project)
  prepare()
  const file = join(box.docker, '.env.demo')
  const ports = { HTTP_PORT: port, HTTPS_PORT: port + 1, URL_PORT: `:${port + 1}` }
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    Object.entries(ports).reduce(
      (all, [name, value]) => all.replace(new RegExp(`^${name}=.*`, 'm'), `${name}=${value}`),
      text,
    ),
  )
  // what the applications share with that file follows it
  good(box.script(['env', 'demo']))
  mkdirSync(to)
  recipient = good(run(['backup', 'key', '--to', key])).trim()
})
test.after(() => {
  removeAll(project)
  clear()
})

test('a stack on Compose with rows and files of all four applications is saved, and goes', () => {
  good(run(['up', 'demo']))
  good(run(['admin', 'demo']))
  write(inCompose, 'of_compose')
  atFirst = read(inCompose, 'of_compose')
  good(run(['backup', 'demo', '--to', to, '--recipient', recipient]))
  good(run(['down', 'demo']))
})

test('a masked copy of it on Kubernetes has no text of before, and a new administrator logs in', async () => {
  good(runOnCluster(['deploy', 'demo']))
  const restore = ['restore', newest(project), ...onCluster, '--identity', key]
  assert.match(good(runOnCluster([...restore, '--mask', '--yes'])), 'without its people')
  for (const name of databases)
    assert.is(
      sql(
        inCluster,
        name,
        "SELECT count(*), count(*) FILTER (WHERE word ~ 'rv.zt') FROM ours.of_compose",
      ),
      '500|0',
      name,
    )
  good(runOnCluster(['restore', '--go-live', ...onCluster]))
  good(runOnCluster(['admin', 'demo', 'chatwoot', 'horilla-hr', '--target', 'kubernetes']))
  await logsIn(
    edgeAt({ https: '127.0.0.1:18443', http: '127.0.0.1:18080' }, false),
    `support.${domain}:18443`,
  )
  good(runOnCluster(['restore', '--drop-old', ...onCluster]))
})

test('its backup is restored in an environment on Kubernetes: all as before, and smoke is green', async () => {
  const said = good(runOnCluster(['restore', newest(project), ...onCluster, '--identity', key]))
  assert.match(said, 'It is held back')
  assert.equal(read(inCluster, 'of_compose'), atFirst)
  good(runOnCluster(['restore', '--go-live', ...onCluster]))
  good(runOnCluster(['admin', ...onCluster]))
  good(runOnCluster(['smoke', ...onCluster]))
  const edge = edgeAt({ https: '127.0.0.1:18443', http: '127.0.0.1:18080' }, false)
  await logsIn(edge, `support.${domain}:18443`)
})

test('what migrates at its start stays down after its restore, until a rollback starts it', () => {
  const applications = ['twenty-crm', 'horilla-hr']
  good(runOnCluster(['restore', '--drop-old', ...onCluster]))
  good(
    runOnCluster(['backup', ...onCluster, ...applications, '--to', to, '--recipient', recipient]),
  )
  const kustomization = join(overlays, 'demo/kustomization.yaml')
  appendFileSync(kustomization, anotherRelease)
  good(runOnCluster(['deploy', 'demo']))
  for (const name of ['twenty', 'horilla'])
    sql(inCluster, name, 'DROP TABLE ours.of_compose', `${name}_a`)
  const restore = ['restore', newest('kgc-staging'), ...onCluster, ...applications]
  const said = good(runOnCluster([...restore, '--identity', key, '--stay-down']))
  assert.match(said, 'rollback.ts demo: it starts the applications')
  const running = kubectl(['get', 'pods', '--output', 'name', ...here])
  assert.not.match(running, /(twenty-(server|worker)|horilla-(web|scheduler))-/)
  good(runOnCluster(['rollback', 'demo']))
  assert.equal(read(inCluster, 'of_compose'), atFirst)
  good(runOnCluster(['smoke', ...onCluster]))
})

test('and back: what was written there comes into the stack on Compose', async () => {
  write(inCluster, 'of_cluster')
  atLast = read(inCluster, 'of_compose', 'of_cluster')
  good(runOnCluster(['backup', ...onCluster, '--to', to, '--recipient', recipient]))
  clear()
  good(run(['restore', newest('kgc-staging'), 'demo', '--identity', key]))
  assert.equal(read(inCompose, 'of_compose', 'of_cluster'), atLast)
  good(run(['restore', '--go-live', 'demo']))
  good(run(['smoke', 'demo']))
  const edge = edgeAt({ https: `127.0.0.1:${port + 1}`, http: `127.0.0.1:${port}` }, false)
  await logsIn(edge, `support.kgc.localhost:${port + 1}`)
})

test.run()
