// Without a context kubectl asks localhost:8080, where our own Traefik answers: nobody is asked,
// and the context that is wanted is named.
import { join } from 'node:path'
import { readFileSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findContextProblem, readKubeContexts } from '../../scripts/lib/kubernetes/kube-context.ts'
import { fakes } from '../fakes.ts'
import { emptySeals } from '../kubeseal.ts'
import { sandbox } from '../sandbox.ts'
import { kubeconfigOf, environment } from './fake-kubectl.ts'

const test = suite('context')
const box = sandbox()
const cluster = fakes(['kubectl', 'kubeseal'])
const overlay = 'infra/k8s/overlays/staging/environment.yaml'
writeFileSync(join(box.root, overlay), 'context: kgc-wanted\n')
writeFileSync(join(box.root, 'infra/k8s/overlays/demo/environment.yaml'), '')
emptySeals(join(box.root, 'infra/k8s/overlays/staging/secrets'))
const stack = JSON.stringify({
  kind: 'ConfigMap',
  metadata: { name: 'stack' },
  data: { DOMAIN: 'kgc.test', HTTPS_PORT: '443', TZ: 'UTC' },
})
assert.is((await box.inProcess(['env', 'staging'])).code, 0)
const settings = join(box.docker, '.env.staging')
writeFileSync(
  settings,
  readFileSync(settings, 'utf8').replace(/^ADMIN_EMAIL=.*/m, 'ADMIN_EMAIL=a@kgc.test'),
)

/** Runs it with these contexts; out: how it ended, and what was asked of a cluster. */
async function run(argv: string[], KUBECONFIG: string) {
  cluster.answer([
    {
      call: /^kubectl --context \S+ --namespace \S+ kustomize|^kubectl patch --local /,
      stdout: stack,
    },
    { call: /^kubectl config/ },
  ])
  const { code, stdout, stderr } = await box.inProcess(argv, {
    ...cluster.env,
    PATH: `${cluster.bin}:${process.env.PATH}`,
    KUBECONFIG,
  })
  const asked = cluster
    .calls()
    .map(({ words }) => words.join(' '))
    .filter(call => !/ kustomize |^kubectl (config|patch --local) /.test(call))
  return { code, said: stdout + stderr, asked }
}

const commands = [
  ['rollback', 'staging', '--list'],
  ['deploy', 'staging', '--dry-run'],
  ['smoke', 'staging', '--target', 'kubernetes'],
  ['admin', 'staging', '--target', 'kubernetes'],
  ['seal', 'staging'],
]
for (const argv of commands)
  test(`${argv.join(' ')} asks nobody without a kubeconfig`, async () => {
    const { code, said, asked } = await run(argv, '/nowhere')
    assert.is(code, 3, said)
    assert.match(
      said,
      /WHY.* no context is configured in \/nowhere; staging uses the context kgc-wanted \(infra\S+environment\.yaml\)[^]*export KUBECONFIG=/,
    )
    assert.equal(asked, [])
  })

test('nor in another context than the one that the environment wants', async () => {
  const { code, said, asked } = await run(
    ['rollback', 'staging', '--list'],
    kubeconfigOf('minikube', 'kind'),
  )
  assert.is(code, 3, said)
  assert.match(
    said,
    /has no context kgc-wanted; staging uses the context kgc-wanted .*; it has minikube, kind\n {2}NEXT {2}kubectl config get-contexts/,
  )
  assert.equal(asked, [])
})

test('the doctor says so, and asks nobody either', async () => {
  // demo names no context
  const { said, asked } = await run(
    ['bootstrap', '--doctor', '--cluster', '--environment', 'demo'],
    '/nowhere',
  )
  assert.match(said, /no current context/)
  assert.equal(asked, [])
})

test('the files of KUBECONFIG count together, the first that names a current context names it', () => {
  const KUBECONFIG = ['/nowhere', kubeconfigOf('b', 'c'), kubeconfigOf('a')].join(':')
  const { names, current } = readKubeContexts({ KUBECONFIG })!
  assert.equal([names, current], [['b', 'c', 'a'], 'b'])
  const fault = (known: { names: string[]; current?: string }, context?: string) =>
    findContextProblem(
      { ...environment, ...(context ? { context } : {}) },
      { files: ['f'], current: undefined, ...known },
    )
  assert.is(fault({ names, current: 'b' }), undefined)
  assert.is(fault({ names }, 'c'), undefined)
  assert.match(fault({ names })!.next, 'use-context')
  assert.match(
    fault({ names, current: 'gone' })!.why,
    /no context gone, which it calls the current one/,
  )
  assert.match(
    fault({ names: [] })!.why,
    /environment\.yaml names none, so the current one is used/,
  )
})

test('a file that is no kubeconfig is left to kubectl, which says what is wrong', () => {
  const file = kubeconfigOf('a')
  writeFileSync(file, '{ not yaml: [')
  assert.is(readKubeContexts({ KUBECONFIG: file }), undefined)
})

test.run()
