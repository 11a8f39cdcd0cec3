// The scripts against an environment on Kubernetes: the one that stands after traffic.ts.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { beforeAll } from '../../hooks.ts'
import { emptySeals } from '../../kubeseal.ts'
import { waitUntil } from '../../until.ts'
import { clusterEnv, get, kubectl, registry, writeKubeconfig } from '../cluster.ts'
import { box, clear, here, overlays } from './environment.ts'

const test = suite('scripts')
const script = (...argv: string[]) => box.script(argv, { env: clusterEnv, timeout: 240_000 })
const smoke = (...argv: string[]) => script('smoke', 'demo', '--target', 'kubernetes', ...argv)
const doctor = (...argv: string[]) => script('bootstrap', '--doctor', '--cluster', ...argv)
const change = (file: string, edit: (text: string) => string) =>
  writeFileSync(join(overlays, file), edit(readFileSync(join(overlays, file), 'utf8')))

beforeAll(test, () => void emptySeals(join(overlays, 'production/secrets')))
test.after(clear)

test('admin makes the administrators, and a second time says that they are there', () => {
  const first = script('admin', 'demo', '--target', 'kubernetes')
  assert.is(first.code, 0, first.stderr)
  assert.match(first.stderr, 'onboarding closed')
  const second = script('admin', 'demo', '--target', 'kubernetes')
  assert.is(second.code, 0, second.stderr)
  assert.match(second.stderr, 'was there')
})

test('smoke passes, with the checks of every application', () => {
  const { code, stdout, stderr, ms } = smoke('--json')
  assert.is(code, 0, stderr)
  const events = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { event: string; name?: string; checks?: number })
  const names = events.filter(({ event }) => event === 'check').map(({ name }) => name!)
  for (const name of ['kgc-api', 'twenty-server', 'kgc-migrate'])
    assert.ok(names.includes(name), name)
  for (const folder of ['kgc', 'twenty-crm', 'chatwoot', 'horilla-hr', 'traefik'])
    assert.ok(
      names.some(name => name.startsWith(`${folder}: `)),
      folder,
    )
  assert.is(events.at(-1)?.checks, names.length)
  assert.ok(names.length >= 40)
  console.log(`${names.length} checks in ${(ms / 1000).toFixed(1)} s`)
})

test('smoke fails and names the workload that is scaled to 0', async () => {
  kubectl(['scale', 'deployment/kgc-admin', '--replicas', '0', ...here])
  await waitUntil(
    'no pod of it',
    60,
    () => get('deployment', 'kgc-admin', ...here).status.replicas === undefined,
  )
  const { code, stderr } = smoke()
  kubectl(['scale', 'deployment/kgc-admin', '--replicas', '1', ...here])
  assert.is(code, 6)
  assert.match(stderr, 'kgc-admin: scaled to 0, at least 1 in the overlay')
  assert.match(stderr, 'kgc: the project dashboard loads with its password')
  assert.match(stderr, '3 of ')
  await waitUntil('healthy again', 120, () => smoke('--quick').code === 0)
})

test('smoke says why a pod does not start', async () => {
  const container = get('deployment', 'kgc-web', ...here).spec.template.spec.containers[0].name
  kubectl([
    'set',
    'image',
    'deployment/kgc-web',
    `${container}=${registry}/kgc-demo/none:1`,
    ...here,
  ])
  try {
    const found = await waitUntil(
      'the failure',
      60,
      () => /kgc-web: .*(ErrImagePull|ImagePullBackOff).*/.exec(smoke('--quick').stderr)?.[0],
    )
    assert.match(found, '1 of the old version still there')
  } finally {
    kubectl(['rollout', 'undo', 'deployment/kgc-web', ...here])
  }
  await waitUntil('healthy again', 120, () => smoke('--quick').code === 0)
})

test('where nothing runs, smoke says so with the command that starts it', () => {
  change('production/environment.yaml', () => 'protected: true\n')
  const { code, stderr } = script('smoke', 'production', '--target', 'kubernetes', '--quick')
  assert.is(code, 3)
  assert.match(
    stderr,
    /Ask kgc-production[^]*no pod is in it[^]*kubectl apply -k infra\/k8s\/overlays\/production/,
  )
})

test("in another context than the environment's nothing is asked", () => {
  change('staging/environment.yaml', text => text.replace(/^context: .*$/m, 'context: kgc-staging'))
  const { code, stderr } = script('smoke', 'staging', '--target', 'kubernetes')
  assert.is(code, 3)
  assert.match(stderr, 'has no context kgc-staging; staging uses the context kgc-staging')
})

test('the doctor finds nothing wrong with this cluster, and says what is not sealed', () => {
  const { code, stdout, stderr } = doctor('--environment', 'demo')
  assert.is(code, 0, stdout + stderr)
  assert.match(stdout, /Kubernetes v1\.\d+/)
  const production = doctor('--environment', 'production')
  assert.is(production.code, 3)
  assert.match(production.stdout, /\d+ secrets of production are not sealed yet/)
  assert.match(production.stderr, 'errors: 0', production.stdout)
})

test('the doctor says what a user without rights may not do, and that a deployer may do all of it', () => {
  const as = (account: string, environment: string) => {
    const file = join(box.root, `kubeconfig-${account}`)
    writeKubeconfig(file, [{ context: 'account', account, namespace: 'kgc-production' }])
    const said = box.script(['bootstrap', '--doctor', '--cluster', '--environment', environment], {
      env: { ...clusterEnv, KUBECONFIG: file },
    })
    rmSync(file)
    return said
  }
  const stranger = as('default', 'production')
  assert.is(stranger.code, 3)
  assert.match(
    stranger.stdout,
    /in kgc-production this user may not (get|list|create|delete) \S+, .* and \d+ more/,
  )
  const deployer = as('deployer', 'production')
  assert.not.match(deployer.stdout, 'may not get')
  assert.match(deployer.stderr, 'errors: 0', deployer.stdout)
})

test('the doctor says it when kubectl knows no cluster', () => {
  const { code, stdout } = box.script(
    ['bootstrap', '--doctor', '--cluster', '--environment', 'demo'],
    { env: { ...clusterEnv, KUBECONFIG: '/nowhere' } },
  )
  assert.is(code, 3)
  assert.match(stdout, 'the kubeconfig has no current context')
})

test.run()
