// How manifests get into the cluster while the API server is away, the lock is lost, or an earlier
// Job is in the way.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { apiRetryMs, createRetryingKubectl } from '../../scripts/lib/kubernetes/kubectl-retry.ts'
import {
  applyInOrder,
  applyManifests,
  deleteObjects,
} from '../../scripts/lib/deploy/apply/apply.ts'
import type { RolloutOptions } from '../../scripts/lib/rollout/wait.ts'
import { PreflightProblems } from '../../scripts/lib/deploy/preflight/problems.ts'
import { storeRelease, type StoredRelease } from '../../scripts/lib/kubernetes/releases.ts'
import { jobChecksumAnnotation } from '../../scripts/lib/deploy/apply/checksums.ts'
import { deleteStuckPods } from '../../scripts/lib/deploy/apply/stuck-pods.ts'
import { runPreflight } from '../../scripts/lib/deploy/preflight.ts'
import { runServerDryRun } from '../../scripts/lib/deploy/preflight/server-dry-run.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('apply')
apiRetryMs.pause = 100
const refused =
  'echo "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?" >&2; exit 1'
const map: Manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }
const lost = new Failure(4, 'Hold the lock', 'it was unlocked')

test('while the API server is away all that may be done twice is tried again', async () => {
  const once = (work: () => Promise<unknown>, answer = 'exit 0') =>
    withFakeKubectl(`[ $n -gt 0 ] || { ${refused}; }; ${answer}`, work)
  const set: Manifest = { kind: 'StatefulSet', metadata: { name: 'db' } }
  const release = { number: 7, manifests: [] as Manifest[] } as StoredRelease
  const all = await Promise.all([
    await once(() => applyManifests(environment, [map])),
    await once(() => deleteObjects(environment, [map])),
    await once(() => deleteStuckPods(environment, [set]), `echo '{"items":[]}'`),
    await once(() => storeRelease(environment, release, 'replace')),
  ])
  for (const { error, calls, said } of all) {
    assert.is(error, undefined)
    assert.is(calls.length, 2)
    assert.match(said, 'does not answer; tried again')
  }
})

test('not for ever, and not what is an answer', async () => {
  const soon = () =>
    createRetryingKubectl(undefined, { most: 300, pause: 100 })(environment, ['get', 'jobs'])
  const { error, calls } = await withFakeKubectl(refused, soon)
  assert.match(error!.message, 'was refused')
  assert.ok(calls.length > 1)
  const no = await withFakeKubectl('echo "Error from server (Forbidden): no" >&2; exit 1', soon)
  assert.is(no.calls.length, 1)
  assert.match(no.error!.message, 'Forbidden')
})

test('who has lost the lock applies nothing more, and what is under way ends', async () => {
  const before = await withFakeKubectl('exit 0', () =>
    applyManifests(environment, [map], () => lost),
  )
  assert.is(before.error, lost)
  assert.equal(before.calls, [])
  const end = Date.now() + 700
  const meanwhile = await withFakeKubectl('exec sleep 20', () =>
    applyManifests(environment, [map], () => (Date.now() > end ? lost : undefined)),
  )
  assert.is(meanwhile.error, lost)
  assert.ok(meanwhile.ms < 5_000, `${meanwhile.ms} ms`)
  const between = await withFakeKubectl(refused, () =>
    applyManifests(environment, [map], () => (Date.now() > end + 1000 ? lost : undefined)),
  )
  assert.is(between.error, lost)
})

test('a record that was made though the answer was lost is the one that was meant; another is not', async () => {
  const release = {
    number: 7,
    who: 'anna',
    started: 'now',
    manifests: [] as Manifest[],
  } as unknown as StoredRelease
  const there = (who: string) =>
    JSON.stringify({
      items: [{ data: { release: JSON.stringify({ number: 7, who, started: 'now' }) } }],
    })
  const made = (who: string) =>
    withFakeKubectl(
      `case "$*" in *create*) [ $n = 0 ] && { echo "unexpected EOF" >&2; exit 1; }; echo 'Error from server (AlreadyExists): x' >&2; exit 1 ;;
      *) echo '${there(who)}' ;; esac`,
      () => storeRelease(environment, release, 'create'),
    )
  assert.is((await made('anna')).error, undefined)
  assert.match((await made('bela')).error!.message, 'AlreadyExists')
})

test('what a finalizer holds is told and waited for no longer; what may not be removed is a failure', async () => {
  const held = await withFakeKubectl(
    "echo 'error: timed out waiting for the condition on configmaps/a' >&2; exit 1",
    () => deleteObjects(environment, [map]),
  )
  assert.is(held.error, undefined)
  assert.match(
    held.said,
    'Not removed after a minute: error: timed out waiting for the condition on configmaps/a',
  )
  const denied = await withFakeKubectl("echo 'Error from server (Forbidden): no' >&2; exit 1", () =>
    deleteObjects(environment, [map]),
  )
  assert.match(denied.error!.message, 'Forbidden')
})

test('what would change is what the server says, but for the status, the writing and who owns a field', async () => {
  const stands = (name: string, more: object = {}): Manifest => ({
    ...map,
    metadata: { ...map.metadata, name, ...{ resourceVersion: '7', managedFields: [{}] } },
    status: { seen: 1 },
    ...more,
  })
  const job: Manifest = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'j' } }
  const after = stands('same', { status: { seen: 2 } })
  const body = `case "$*" in
    *"create jobs --dry-run=server"*) echo 'Error from server (AlreadyExists): x' >&2; exit 1 ;;
    *configmaps*same*) echo '${JSON.stringify({ ...after, metadata: { name: 'same', resourceVersion: '8' } })}' ;;
    *configmaps*other*) echo '${JSON.stringify(stands('other', { data: { a: '2' } }))}' ;;
  esac`
  const { refused, value, calls } = await tried(
    body,
    [job, ...['same', 'other', 'new'].map(name => ({ ...map, metadata: { name } }))],
    [stands('same'), stands('other', { data: { a: '1' } }), { ...job, spec: {} }],
  )
  assert.equal([refused, value], [[], { created: ['ConfigMap new'], changed: ['ConfigMap other'] }])
  assert.is(calls.length, 4)
})

test('each object that the server refuses is said in its words, and so is one that it does not know', async () => {
  const { refused, value } = await tried(
    `case "$*" in
      *apply*a*) echo 'Error from server (Invalid): ConfigMap "a" is invalid: data: too long' >&2; exit 1 ;;
      *create*) echo 'the connection was cut' >&2; exit 137 ;;
    esac`,
    [
      map,
      { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'j' } },
      { apiVersion: 'bitnami.com/v1alpha1', kind: 'SealedSecret', metadata: { name: 's' } },
    ],
  )
  assert.equal(value, { created: [], changed: [] })
  assert.equal(refused, [
    'ConfigMap "a" is invalid: data: too long',
    'Unable to connect to the server: the connection was cut',
    'the cluster does not know SealedSecret (bitnami.com/v1alpha1): its CRD is not installed; infra/k8s/README.md, "What the cluster must have"',
  ])
})

test('argoproj-labs/argocd-operator#853: a namespace that is being deleted is the first reason, before the rights that went with it', async () => {
  const version = '{"gitVersion":"v1.36.3","clientVersion":{"gitVersion":"v1.36.3"}}'
  const cluster = (phase: string) => `case "$*" in
    *version*) echo '${version}' ;;
    *kustomize* | *--local*) echo '${JSON.stringify(map)}' ;;
    *namespaces/played*) echo '{"status":{"phase":"${phase}"}}' ;;
    *) echo 'Error from server (Forbidden): you may not' >&2; exit 1 ;;
  esac`
  const reasons = async (phase: string) => {
    const { error } = await withFakeKubectl(cluster(phase), () =>
      runPreflight({ environment, source: {}, chooseRelease: () => undefined as never }),
    )
    return `${(error as Failure).evidence ?? error}`.split('\n')
  }
  assert.is((await reasons('Terminating'))[0], '- namespace played is being deleted')
  assert.not.match((await reasons('Active')).join(), 'being deleted')
})

test('Shopify/krane#173: a quota of Jobs that the change itself makes room in refuses nothing', async () => {
  const job: Manifest = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'migrate' } }
  const quota = (used: number, name = 'migrate') =>
    `Error from server (Forbidden): jobs.batch "${name}" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1, used: count/jobs.batch=${used}, limited: count/jobs.batch=1`
  const count = async (live: Manifest[], words: string) =>
    (await tried(`case "$*" in *create*) echo '${words}' >&2; exit 1 ;; esac`, [job], live)).refused
      .length
  assert.is(await count([job], quota(1)), 0, 'the old one is deleted first')
  assert.is(await count([], quota(1)), 1, 'somebody else uses it up')
  assert.is(await count([job], quota(2)), 1, 'one is too few')
  assert.is(await count([job], quota(1, 'other')), 1)
  const both = quota(1).replace('=1, used', '=1,requests.cpu=1, used')
  assert.is(await count([job], both), 1, 'another resource is used up, too')
})

const resources = new Map([
  ['v1 ConfigMap', 'v1/configmaps'],
  ['batch/v1 Job', 'batch/v1/jobs'],
])
async function tried(body: string, all: Manifest[], live: Manifest[] = []) {
  const refusals = new PreflightProblems()
  const ended = await withFakeKubectl(body, () =>
    runServerDryRun(environment, all, live, resources, refusals),
  )
  return { ...ended, refused: refusals.messages }
}

test('fluxcd/flux2#4073, cert-manager/cert-manager#2186: a webhook that takes no dry runs refuses nothing that would work', async () => {
  const no = 'Error from server (BadRequest): admission webhook "w.kgc.hu" does not support dry run'
  const { value, refused, said } = await tried(`echo '${no}' >&2; exit 1`, [map])
  assert.equal([refused, value], [[], { created: ['ConfigMap a'], changed: [] }])
  assert.match(said, /ConfigMap a could not be tried: .*does not support dry run/)
  const denied = no.replace('does not support dry run', 'denied the request: no')
  assert.is((await tried(`echo '${denied}' >&2; exit 1`, [map])).refused.length, 1)
})

// an earlier migration in the way of the next one
const stamp = (name: string) => ({
  name: 'migrate',
  annotations: { 'kgc.hu/order': 'migrate', [jobChecksumAnnotation]: name },
})
const next: Manifest = { apiVersion: 'batch/v1', kind: 'Job', metadata: stamp('new'), spec: {} }
const old = (status: object) => ({
  kind: 'Job',
  metadata: { ...stamp('old'), uid: 'u' },
  spec: {},
  status,
})
const pod = (state: object, init: object = { terminated: { exitCode: 0 } }) => ({
  kind: 'Pod',
  metadata: { name: 'migrate-x', uid: 'p', ownerReferences: [{ uid: 'u' }] },
  spec: { initContainers: [{ name: 'wait' }], containers: [{ name: 'main', image: 'x:1' }] },
  status: {
    phase: 'Pending',
    initContainerStatuses: [{ name: 'wait', state: init }],
    containerStatuses: [{ name: 'main', restartCount: 0, ...state }],
  },
})
// what cannot heal by itself
const hangs = { state: { waiting: { reason: 'ErrImageNeverPull', message: 'x:1 is not present' } } }

/** The next change's migration, with this one in the way until it is deleted (or `most` questions have been asked). */
function migrate(items: object[], most = 1000, later: object[] = []) {
  const done = {
    ...next,
    metadata: { ...next.metadata, uid: 'n' },
    status: { conditions: [{ type: 'Complete', status: 'True' }] },
  }
  const body = `case "$*" in
    *--watch-only*|*logs*) ;;
    *"get events"*) echo '{"items":[]}' ;;
    *delete*) touch gone ;;
    *apply*) touch new ;;
    *" get "*) if [ -e new ]; then echo '${JSON.stringify({ items: [done] })}'
      elif [ -e gone ]; then echo '{"items":[]}'
      elif [ $n -ge ${most} ]; then echo '${JSON.stringify({ items: later })}'
      else echo '${JSON.stringify({ items })}'; fi ;;
  esac`
  const lock = {
    recordPhase: async () => {},
    lossFailure: () => undefined,
    release: async () => {},
    clockOffsetMs: 1,
  }
  // however long ago the change began, what it starts now has its time
  const wait: RolloutOptions = {
    environment,
    what: 'Deploy',
    since: Date.now() - 3_600_000,
    stableMs: 0,
    lock,
  }
  return withFakeKubectl(body, () => applyInOrder(wait, [], [next], () => {}).then(() => wait))
}
const dropped = ({ calls }: { calls: string[] }) =>
  calls.some(one => one.includes('delete job migrate'))
const applied = ({ calls }: { calls: string[] }) =>
  calls.filter(one => one.includes(' apply ')).length

test('an earlier Job that hangs and has not begun is removed, and the next one runs', async () => {
  const ended = await migrate([old({ active: 1 }), pod(hangs)])
  assert.is(ended.error?.stack, undefined)
  assert.ok(dropped(ended))
  assert.is(applied(ended), 1)
  assert.match(
    ended.said,
    /removed: Job migrate of an earlier deploy, which never started: .*ErrImageNeverPull/,
  )
})

test('the very Job that ended well since the plan was made is not run again; one that failed is', async () => {
  const same = (type: string) => ({
    ...next,
    metadata: { ...next.metadata, uid: 'u' },
    status: { conditions: [{ type, status: 'True' }] },
  })
  const ran = await migrate([same('Complete')])
  assert.is(ran.error, undefined)
  assert.equal([dropped(ran), applied(ran)], [false, 0])
  const failed = await migrate([same('Failed')])
  assert.is(failed.error, undefined)
  assert.ok(Date.now() - failed.value!.since < 60_000)
  assert.equal([dropped(failed), applied(failed)], [true, 1])
})

test('one that has begun is waited for with a pause, though it looks broken now', async () => {
  const began = {
    ...hangs,
    lastState: {
      terminated: {
        exitCode: 1,
        finishedAt: new Date().toISOString(),
        startedAt: new Date().toISOString(),
      },
    },
  }
  const complete = [old({ conditions: [{ type: 'Complete', status: 'True' }] })]
  for (const begun of [
    pod(began),
    pod(hangs, { running: {} }),
    pod(hangs, { terminated: { exitCode: 1 } }),
  ]) {
    const ended = await migrate([old({ active: 1 }), begun], 6, complete)
    assert.is(ended.error?.stack, undefined)
    assert.not.match(ended.said, 'which never started')
    assert.is(ended.said.match(/still running; waiting/g)!.length, 1)
    assert.ok(ended.ms > 2_500, `${ended.ms} ms`)
    const looks = ended.calls.filter(one => one.includes('get jobs')).length
    assert.ok(looks < 20, `${looks} looks`)
    assert.is(applied(ended), 1)
  }
})

test.run()
