// The whole way of a commit, with this repository's own tools and nothing from outside: into
// images, to staging, to production; a bad one goes back by itself, a good one by hand.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { gitHubStandIn } from '../../github.ts'
import { kubectl, stopAtExit, tool } from '../cluster.ts'
import { empty, environments, images, monorepo, serving, stage } from './setup.ts'

const test = suite('rehearsal')
const kgc = monorepo()
const { box, run, admit, commit, pin } = stage()
const github = await gitHubStandIn()
let mine = false

/** The commit here that pins each of KGC's. */
const here: Record<string, string> = {}

/** A step of a workflow that runs on a commit of this repository. */
const step = (sha: string, ...argv: string[]) =>
  run(argv, {
    ...github.env,
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_SHA: sha,
    GITHUB_REF_TYPE: 'branch',
    GITHUB_REF_NAME: 'main',
    GITHUB_ACTOR: 'rehearsal',
  })

async function ok(words: string, work: ReturnType<typeof run>) {
  const start = Date.now()
  const done = await work
  assert.is(done.code, 0, `${words}:\n${done.stderr}\n${done.stdout}`)
  console.log(`${words}: ${((Date.now() - start) / 1000).toFixed(1)} s`)
  return done
}

/** Commits a version of KGC's code and pins it here. */
function bump(version: string, fault?: string, migrations?: Record<string, string>) {
  here[version] = pin(kgc.commit(version, fault, migrations))
  return here[version]!
}
const push = (version: string) =>
  ok(
    `images of ${version}`,
    step(here[version]!, 'images', 'push', 'kgc-api', 'kgc-web', 'kgc-admin', 'kgc-migrate'),
  )
const states = (environment: string, version: string) =>
  github.deployments
    .filter(one => one.environment === environment && one.sha === here[version])
    .map(one =>
      github
        .states(one.id)
        .filter(state => state !== 'inactive')
        .at(-1),
    )

test('the environments have their secrets', async () => {
  Object.assign(process.env, { KGC_REGISTRY: images, KGC_SOURCE: kgc.root })
  for (const name of environments) {
    if (tool('kubectl', ['get', 'namespace', `kgc-${name}`], { nothrow: true }).code !== 0)
      kubectl(['apply', '--kustomize', join(box.root, 'infra/k8s/overlays/demo/cluster')])
    empty(name)
    stopAtExit(`kgc-${name}`)
  }
  mine = true
  admit()
  // an administrator hands it out
  const certificate = join(box.root, 'certificate.pem')
  writeFileSync(certificate, tool('kubeseal', ['--fetch-cert']).stdout)
  for (const name of environments) {
    await ok(`env files of ${name}`, run(['env', name]))
    const file = join(box.docker, `.env.${name}`)
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace(/^ADMIN_EMAIL=.*$/m, 'ADMIN_EMAIL=admin@kgc.localhost'),
    )
    await ok(`secrets of ${name}`, run(['seal', name, '--cert', certificate]))
  }
  commit('Secrets of both environments')
})

test.after(() => {
  github.close()
  if (mine) environments.forEach(empty)
})

test('a commit is built, and staging serves its images by digest', async () => {
  const sha = bump('one')
  const { stdout } = await push('one')
  await ok('staging', step(sha, 'deploy', 'staging'))
  const now = serving('staging')
  assert.equal(Object.keys(now).sort(), ['kgc-admin', 'kgc-api', 'kgc-web'])
  for (const digest of Object.values(now)) assert.match(stdout, digest)
  assert.equal(states('staging', 'one'), ['success'])
})

test('with its first administrators staging passes the smoke test', async () => {
  await ok('administrators', run(['admin', 'staging', '--target', 'kubernetes']))
  await ok('smoke', run(['smoke', 'staging', '--target', 'kubernetes']))
})

test('production gets what staging had, and nothing is built for it', async () => {
  await ok('production', step(here.one!, 'deploy', 'production', '--yes'))
  assert.equal(serving('production'), serving('staging'))
  assert.equal(states('production', 'one'), ['success'])
})

test('a bad commit goes back by itself, and production does not take it', async () => {
  const before = serving('staging')
  const sha = bump('bad', 'crash')
  await push('bad')
  const staging = await step(sha, 'deploy', 'staging')
  assert.is(staging.code, 5, staging.stderr)
  assert.match(staging.stderr, /STANDIN_FAULT=crash/)
  assert.match(staging.stderr, /NOW .*release 1 serves again/)
  assert.equal(serving('staging'), before)
  assert.equal(states('staging', 'bad'), ['failure'])
  const production = await step(sha, 'deploy', 'production', '--yes')
  assert.is(production.code, 3, production.stderr)
  assert.match(production.stderr, 'to staging is recorded as failure')
})

const policies = () =>
  kubectl([
    'exec',
    '--namespace',
    'kgc-staging',
    'kgc-db-0',
    '--',
    'psql',
    '-qU',
    'postgres',
    'kgc',
    '-tAc',
    'SELECT policyname FROM pg_policies',
  ]).trim()

test("a first migration of KGC's is really applied, and a rollback over it or over one of Twenty is refused", async () => {
  const sha = bump('two', '', {
    '1_policy':
      'ALTER TABLE contracts ENABLE ROW LEVEL SECURITY;\nCREATE POLICY tenant ON contracts USING (true);\n',
  })
  await push('two')
  assert.is(policies(), '')
  const deployed = await ok('staging', step(sha, 'deploy', 'staging'))
  assert.match(
    deployed.stderr,
    /Job kgc-migrate: the schema changes to [0-9a-f]{12}, from schema [0-9a-f]{12}/,
  )
  assert.is(policies(), 'tenant')
  const psql = (sql: string) =>
    kubectl([
      'exec',
      '--namespace',
      'kgc-staging',
      'twenty-db-0',
      '--',
      'psql',
      '-qU',
      'postgres',
      'twenty',
      '-c',
      sql,
    ])
  psql(
    `INSERT INTO core."upgradeMigration" (name, status, "executedByVersion") VALUES ('1760000000000-next', 'completed', '2.46.0')`,
  )
  const before = serving('staging')
  const { code, stderr } = await step(sha, 'rollback', 'staging', '--yes')
  assert.is(code, 3, stderr)
  assert.match(stderr, /twenty-crm: \d+ migrations, \w+ then, \d+ migrations, \w+ now/)
  assert.match(stderr, /kgc: schema [0-9a-f]{12} then, schema [0-9a-f]{12}, 1 migrations, \w+ now/)
  assert.equal(serving('staging'), before)
  psql(`DELETE FROM core."upgradeMigration" WHERE name LIKE '%-next'`)
})

test("a migration of KGC's that fails is named, and what served before serves on", async () => {
  const before = serving('staging')
  const sha = bump('three', '', { '2_bad': 'ALTER TABLE nowhere ADD COLUMN x text;\n' })
  await push('three')
  const { code, stderr } = await step(sha, 'deploy', 'staging')
  assert.is(code, 5, stderr)
  assert.match(stderr, '2_bad')
  assert.equal(serving('staging'), before)
  assert.is(policies(), 'tenant')
})

test('a good commit goes back by hand, and the list of releases tells it all', async () => {
  const before = serving('production')
  assert.not.equal(serving('staging'), before)
  await ok('rollback', step(here.three!, 'rollback', 'staging', '--yes', '--accept-schema'))
  assert.equal(serving('staging'), before)
  const { stdout } = await ok('list', run(['rollback', 'staging', '--list']))
  const lines = stdout.split('\n').map(line => line.replace(/ {2,}/g, ' '))
  for (const line of [
    '1 deploy succeeded',
    '2 deploy rolled back',
    '3 deploy succeeded',
    '4 deploy rolled back',
    '5 rollback to 1 succeeded',
  ])
    assert.ok(
      lines.some(one => one.includes(line)),
      `${line}:\n${stdout}`,
    )
})

test.run()
