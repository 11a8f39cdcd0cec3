// One failure each, through a whole deploy with the deployer's rights: how it ends, what it names,
// what serves then, and after how many seconds.
// KGC_LANES (4) of them at once, each in a namespace of its own; KGC_LANES=1 measures them one by
// one.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAllDocuments } from 'yaml'
import { table } from '../../../scripts/lib/report.ts'
import { beforeAll } from '../../hooks.ts'
import { apply, namespace } from '../cluster.ts'
import {
  createTestEnvironment,
  unrunnable,
  type Shape,
  type TestEnvironment,
} from './test-environment.ts'

type Json = Record<string, any>
const test = suite('failures')
const lanes = Number(process.env.KGC_LANES || 4)
/**
 * Bounds are for a machine that does nothing else; here deploys share it with each other, and with
 * whatever else is at work.
 */
const load = () => Math.max(lanes > 1 ? 2.5 : 1.25, loadavg()[0]! / availableParallelism())

interface Row {
  shape: Shape
  /** What an administrator has put into the namespace. */
  there?: Json[]
  code: number
  /** The object that fails, and its reason; without them it is refused, or its smoke fails. */
  fails?: string
  reason?: RegExp
  /** What the result block says: the cause in words, the log. */
  says: RegExp[]
  /** s from the apply to the cause, and to the old release proven. */
  within?: [cause: number, served: number]
}

/**
 * A manifest of test/fixtures/rollout as a part of the environment; what only an administrator may
 * make is left to him.
 */
function from(
  name: string,
  edit: (text: string) => string = text => text,
): { more: Json[]; there: Json[] } {
  const all = parseAllDocuments(
    edit(readFileSync(join(import.meta.dirname, `../../fixtures/rollout/${name}.yaml`), 'utf8')),
  ).map(one => one.toJS() as Json)
  const ours = ({ kind }: Json) => ['Deployment', 'StatefulSet'].includes(kind)
  for (const one of all.filter(ours)) one.metadata.annotations = { 'kgc.hu/order': 'application' }
  return { more: all.filter(ours), there: all.filter(one => !ours(one)) }
}
const row = (name: string, rest: Omit<Row, 'shape'>, edit?: (text: string) => string): Row => {
  const { more, there } = from(name, edit)
  return { shape: { more }, there, ...rest }
}
const pulls = (says: RegExp[], within: [number, number] = [12, 32]): Row => ({
  shape: {},
  code: 5,
  fails: 'Deployment alpha',
  reason: /ImagePull/,
  says,
  within,
})
const sealed = (name: string, key: string) => ({
  apiVersion: 'bitnami.com/v1alpha1',
  kind: 'SealedSecret',
  metadata: { name, annotations: { 'kgc.hu/order': 'data' } },
  spec: {
    encryptedData: { [key]: 'AgB0aGlzIHdhcyBzZWFsZWQgZm9yIGFub3RoZXIgY2x1c3Rlcg==' },
    template: { metadata: { name } },
  },
})
const blind = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'blind' },
  spec: { selector: { app: 'alfa' }, ports: [{ port: 1 }] },
}

// the longest first
const rows: Record<string, Row> = {
  'image denied': pulls([/the registry refuses the cluster/], [72, 92]),
  'image missing': pulls([/not in its registry/], [72, 92]),
  'crash after 20 s': row(
    'crash-late',
    {
      code: 5,
      fails: 'Deployment crash-late',
      reason: /CrashLoop/,
      says: [/exit 4/, /the queue is gone/],
      within: [50, 70],
    },
    text => text.replace('spec:\n', 'spec:\n  minReadySeconds: 15\n'),
  ),
  unschedulable: row('unschedulable', {
    code: 5,
    fails: 'Deployment unschedulable',
    reason: /Unschedulable/,
    says: [/no node has enough free resources/],
    within: [35, 55],
  }),
  'failing probe': row(
    'probe',
    {
      code: 5,
      fails: 'Deployment probe',
      reason: /ProbeFails/,
      says: [/GET \/health\/ready on port 8080/, /statuscode: 503/],
      within: [30, 50],
    },
    text => text.replace('progressDeadlineSeconds: 40', 'progressDeadlineSeconds: 20'),
  ),
  'slow start that is fine': row('slow', { code: 0, says: [/serves release/] }),
  quota: row('quota', {
    code: 5,
    fails: 'Deployment quota',
    reason: /FailedCreate/,
    says: [/exceeded quota: room/],
    within: [20, 40],
  }),
  'smoke fails though Ready': {
    shape: { env: { SMOKE: 'broken' } },
    code: 5,
    says: [/alpha says that it works: it says broken/],
    within: [40, 60],
  },
  'crash at once': {
    shape: { command: ['sh', '-c', 'echo KGC_SETTING is not set >&2; exit 3'] },
    code: 5,
    fails: 'Deployment alpha',
    reason: /CrashLoop/,
    says: [/exit 3/, /KGC_SETTING is not set/, /the application exits/],
    within: [20, 40],
  },
  'crash without a probe': row('crash', {
    code: 5,
    fails: 'Deployment crash',
    reason: /CrashLoop/,
    says: [/exit 3/, /KGC_SETTING is not set/],
    within: [20, 40],
  }),
  'out of memory': row('memory', {
    code: 5,
    fails: 'Deployment memory',
    reason: /OOMKilled|CrashLoop/,
    says: [/more memory than its limit of 32Mi/],
    within: [20, 40],
  }),
  'image for another processor': pulls([/not built for this node/]),
  'secret that cannot be opened': row('secret-key', {
    code: 5,
    says: [
      /SealedSecret half-secrets: no key could decrypt secret \(DB_PASSWORD\)/,
      /get sealedsecret half-secrets/,
    ],
    within: [12, 32],
  }),
  'ConfigMap missing': row('configmap-missing', {
    code: 5,
    fails: 'Deployment configmap-missing',
    reason: /CreateContainerConfigError/,
    says: [/the ConfigMap absent-config is not there/],
    within: [12, 32],
  }),
  'failed migration': {
    shape: { config: { A: 'new' }, migrate: 'echo relation users already exists >&2; exit 7' },
    code: 5,
    fails: 'Job migrate',
    reason: /BackoffLimitExceeded/,
    says: [/exit 7/, /relation users already exists/],
    within: [12, 32],
  },
  'image refused': {
    shape: { image: '127.0.0.1:5001/kgc-demo/redis:nowhere' },
    code: 3,
    says: [/redis:nowhere: it is not in 127.0.0.1:5001/],
  },
  'secret key refused': row('secret-key', {
    code: 3,
    says: [/DB_PASSWORD of half-secrets is missing or empty/],
  }),
  'wrong selector': {
    shape: { more: [blind] },
    code: 3,
    says: [/Service blind selects no pod of this environment: \{"app":"alfa"\}/],
  },
}
rows['secret that cannot be opened']!.shape.more!.push(sealed('half-secrets', 'DB_PASSWORD'))

/**
 * A registry that knows every image when a deploy asks it, and gives none to the node: there the
 * same address is another registry.
 */
const gateway = 5055
function twoFaced() {
  const answer = `(_, answer) => answer.writeHead(200, { 'docker-content-digest': 'sha256:${'0'.repeat(64)}' }).end()`
  // a process of its own: this one waits for kubectl now and then
  const server = spawn(
    process.execPath,
    ['-e', `require('http').createServer(${answer}).listen(${gateway}, '127.0.0.1')`],
    { stdio: 'ignore' },
  )
  server.unref()
  process.once('exit', () => server.kill())
  const [pod] = from('image-denied', text =>
    text
      .replace('my $line; 1 while', 'my $first = <$client>; my $line; 1 while')
      .replace(
        '"HTTP/1.1 401 Unauthorized"',
        '$first =~ /missing/ ? "HTTP/1.1 404 Not Found" : "HTTP/1.1 401 Unauthorized"',
      ),
  ).there
  const space = namespace('kgc-t-registry')
  apply({ ...pod, metadata: { name: 'registry', namespace: space } })
  rows['image missing']!.shape.image = `127.0.0.1:${gateway}/missing/api:1`
  rows['image denied']!.shape.image = `127.0.0.1:${gateway}/private/api:1`
}

interface Seen {
  code: number | null
  said: string
  error: Json
  cause: Json | undefined
  /** Ready pods of alpha; the workloads that there are; before and after. */
  pods: [string[], string[]]
  workloads: [string[], string[]]
  ending: string | undefined
  good: number
  /** s */
  named: number | undefined
  served: number | undefined
}

const isReady = ({ metadata, status }: Json) =>
  !metadata.deletionTimestamp &&
  status.conditions?.some(({ type, status }: Json) => type === 'Ready' && status === 'True')
const podsOf = ({ get }: TestEnvironment): string[] =>
  get('pods', '--selector', 'app=alpha')
    .items.filter(isReady)
    .map(({ metadata }: Json) => metadata.name)
const workloadsOf = ({ get }: TestEnvironment): string[] =>
  get('deployments,statefulsets').items.map(
    ({ kind, metadata }: Json) => `${kind} ${metadata.name}`,
  )

async function observe(here: TestEnvironment, { shape, there = [] }: Row): Promise<Seen> {
  if (there.length)
    apply(...there.map(one => ({ ...one, metadata: { ...one.metadata, namespace: here.space } })))
  const look = () => [podsOf(here), workloadsOf(here)] as const
  const before = look()
  const good = here.releases().findLast(({ ending }) => ending === 'succeeded')!.number
  here.write(shape)
  const deploy = here.start(['deploy', 'test', '--json'])
  const code = await deploy.code
  const after = look()
  const events = deploy.events()
  const time = (found: Json | undefined) => (found ? Date.parse(found.time) : undefined)
  const step = (name: string, state: string) =>
    events.find(one => one.event === 'step' && one.name === name && one.state === state)
  const begun = time(step('Apply', 'started'))
  const named = events.find(({ event, state }) => event === 'workload' && state === 'failed')
  const past = (ms: number | undefined) => (begun && ms ? (ms - begun) / 1000 : undefined)
  const error = events.find(({ event }) => event === 'error') ?? {}
  return {
    code,
    said: deploy.said(),
    error,
    cause: named?.cause,
    pods: [before[0], after[0]],
    workloads: [before[1], after[1]],
    ending: here.releases().at(-1)?.ending,
    good,
    named: past(time(named ?? step('Apply', 'failed') ?? step('Smoke', 'failed'))),
    served: past(time(step('Smoke it', 'done') ?? (code === 5 ? error : undefined))),
  }
}

const queue = Object.keys(rows)
const found = new Map(queue.map(name => [name, later<Seen>()]))
function later<T>() {
  let [resolve, reject] = [(_: T) => {}, (_: unknown) => {}]
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]))
  return { promise, resolve, reject }
}

beforeAll(test, async () => {
  twoFaced()
  rows['image for another processor']!.shape.image = await unrunnable()
  const lane = async (_: unknown, n: number) => {
    const here = createTestEnvironment(`kgc-t-fail${n}`, { stable: 10 })
    const first = here.start(['deploy', 'test'])
    if ((await first.code) !== 0) throw new Error(`the first deploy fails: ${first.said()}`)
    for (let name = queue.shift(); name; name = queue.shift())
      found.get(name)!.resolve(await observe(here, rows[name]!))
  }
  void Promise.all(Array.from({ length: lanes }, lane)).catch(error =>
    found.forEach(({ reject }) => reject(error)),
  )
})

const measured: string[][] = [
  ['failure', 'exit', 'cause named after', 'old release proven after', 'cause'],
]
const seconds = (value: number | undefined) => (value === undefined ? '' : `${value.toFixed(1)} s`)

for (const [name, { code, fails, reason, says, within }] of Object.entries(rows))
  test(name, async () => {
    const one = await found.get(name)!.promise
    const { said, error, cause, pods, workloads, good } = one
    const why = cause ? `${cause.reason} (${cause.application})` : (error.why ?? '').slice(0, 60)
    measured.push([name, String(one.code), seconds(one.named), seconds(one.served), why])
    assert.is(one.code, code, said)
    for (const words of says) assert.match(said, words)
    if (fails) {
      assert.is(`${cause!.kind} ${cause!.name}`, fails)
      assert.match(cause!.reason, reason!)
      assert.is(cause!.application, cause!.name)
      if (!/FailedCreate/.test(cause!.reason))
        assert.ok(cause!.pod.startsWith(`${cause!.name}-`), `pod ${cause!.pod}`)
      if (!/FailedCreate|Unschedulable/.test(cause!.reason))
        assert.ok(cause!.container, 'it names the container')
      assert.match(error.why, `${cause!.kind} ${cause!.name}`)
      assert.ok(error.next, 'it says what to do next')
    }
    if (code === 0) return
    // where all had become Ready the old pods have gone
    if (/smoke/.test(name)) assert.is(pods[1].length, pods[0].length)
    else assert.equal(pods[1], pods[0], 'the old pods have served all the time')
    assert.equal(workloads[1], workloads[0], 'nothing is left of it')
    if (code === 3) assert.match(said, 'nothing was touched')
    else {
      assert.is(one.ending, 'rolled back')
      assert.match(
        error.serving,
        fails === 'Job migrate'
          ? `release ${good} serves`
          : `release ${good} serves again and passed the smoke test`,
      )
      assert.ok(
        one.named! <= within![0] * load(),
        `its cause was named after ${seconds(one.named)}`,
      )
      assert.ok(
        one.served! <= within![1] * load(),
        `the old release was proven after ${seconds(one.served)}`,
      )
    }
  })

test.after(() => console.log(table(measured)))
test.run()
