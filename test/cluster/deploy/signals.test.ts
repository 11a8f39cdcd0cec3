// Deploys that are ended at every step boundary, by each signal: the rerun ends where an
// undisturbed deploy would have, migrations run once, nobody is told anything twice. The three
// signals at once, each in a namespace of its own. KGC_SOAK=N adds N - 1 rounds in which each ends
// at any moment of its step and has a rerun of its own.
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts'
import { createTestEnvironment, type TestEnvironment } from './test-environment.ts'
import { waitUntil } from '../../until.ts'

type Json = Record<string, any>
const test = suite('signals')
const rounds = Number(process.env.KGC_SOAK || 1)
const signals = { SIGKILL: null, SIGTERM: 143, SIGINT: 130 } as const
type Signal = keyof typeof signals
const all = ['Pre-flight', 'Plan', 'Lock', 'Apply', 'Watch', 'Smoke', 'Record']
/**
 * SIGINT goes the way of SIGTERM with another exit code: where nothing is repeated, one step shows
 * that.
 */
const stepsOf = (signal: Signal) => (signal === 'SIGINT' && rounds === 1 ? ['Watch'] : all)

/** What serves, with everything that differs from one deploy to the next taken out. */
function state({ get }: TestEnvironment, token: string): string {
  const { items } = get('deployments,statefulsets,services,jobs')
  const config = get('deployment', 'alpha').spec.template.spec.containers[0].envFrom[0].configMapRef
    .name
  const specs = items.map(({ kind, metadata, spec }: Json) => [
    kind,
    metadata.name,
    spec.template?.spec ?? spec,
  ])
  const text = JSON.stringify([...specs, get('configmap', config).data])
  return text
    .replaceAll(token, 'TOKEN')
    .replaceAll(/-[a-z0-9]{10}"/g, '"')
    .replaceAll(/"batch.kubernetes.io[^,]*,|"clusterIPs?":("[^"]*"|\[[^\]]*\]),/g, '')
}

/** The migrations that have been started: a Job each. */
const migrations = ({ get }: TestEnvironment): number =>
  new Set(
    get('events')
      .items.filter(
        ({ reason, involvedObject }: Json) =>
          reason === 'SuccessfulCreate' && involvedObject.kind === 'Job',
      )
      .map(({ involvedObject }: Json) => involvedObject.uid),
  ).size
const isReady = ({ metadata, status }: Json) =>
  !metadata.deletionTimestamp &&
  status.conditions?.some(({ type, status }: Json) => type === 'Ready' && status === 'True')
const readyPods = ({ get }: TestEnvironment): string[] =>
  get('pods')
    .items.filter(isReady)
    .map(({ metadata }: Json) => metadata.labels.app)
    .sort()
const holder = ({ get }: TestEnvironment) => get('lease', 'kgc-deploy').spec.holderIdentity

interface Place {
  here: TestEnvironment
  hook: WebhookReceiver
  env: Record<string, string>
  /** The end state of an undisturbed deploy. */
  calm: string
}
const shape = (token: string) => ({ config: { A: token }, migrate: `echo ${token}` })

async function ready(signal: Signal): Promise<Place> {
  const here = createTestEnvironment(`kgc-t-${signal.toLowerCase()}`)
  const hook = await startWebhookReceiver()
  const env = { SLACK_WEBHOOK_URL: hook.address }
  here.write(shape('calm-calm'))
  const first = here.start(['deploy', 'test'], env)
  assert.is(await first.code, 0, first.said())
  return { here, hook, env, calm: state(here, 'calm-calm') }
}

/** What there was before a deploy. */
const count = ({ here, hook }: Place) => ({
  migrations: migrations(here),
  told: hook.bodies.length,
})

/** Begins a deploy, and ends it in a step; false when it came to its end before. */
async function cut(
  { here, env }: Place,
  signal: Signal,
  step: string,
  later: number,
): Promise<boolean> {
  const end = {
    END_AT: `▶ ${step}`,
    END_BY: signal,
    END_AFTER: String(later),
    NODE_OPTIONS: `--import=${join(import.meta.dirname, 'end-at.mjs')}`,
  }
  const deploy = here.start(['deploy', 'test'], { ...env, ...end })
  const code = await deploy.code
  if (later && code === 0) return false
  assert.is(code, signals[signal], deploy.said())
  const ms = Date.now() - Number(/^ended at (\d+)$/m.exec(deploy.said())![1])
  assert.ok(
    ms < 4_000 * Math.max(1, loadavg()[0]! / availableParallelism() / 4),
    `it took ${ms} ms to end`,
  )
  // it takes 2 s at the most to leave; what a busy machine does not do in them the rerun does
  if (signal !== 'SIGKILL' && ms < 2_000) assert.is(holder(here), undefined, 'the lock is free')
  return true
}

/** Deploys again, to the end. */
async function again(
  { here, hook, env, calm }: Place,
  token: string,
  before: ReturnType<typeof count>,
) {
  const done =
    here.releases().at(-1)!.ending === 'succeeded' && migrations(here) > before.migrations
  const rerun = here.start(['deploy', 'test'], env)
  assert.is(await rerun.code, 0, rerun.said())
  assert.is(state(here, token), calm)
  await waitUntil(
    'alpha and beta ready, nothing else',
    30,
    () => readyPods(here).join() === 'alpha,beta',
  )
  assert.is(migrations(here), before.migrations + 1, 'the migration ran once')
  assert.is(holder(here), undefined, 'the lock is free')
  assert.is(here.releases().at(-1)!.ending, 'succeeded')
  assert.not.ok(here.releases().some(({ ending }) => ending === 'applying'))
  const said = hook.said().slice(before.told)
  assert.equal([...new Set(said)], said, 'nothing is told twice')
  const ends = said.filter(text => /succeeded/.test(text)).length
  // ended between the record and the message it is not told at all
  assert.ok(ends === 1 || (done && !ends), `told: ${said.join(', ')}`)
}

for (const signal of Object.keys(signals) as Signal[]) {
  const place = ready(signal)
  const steps = stepsOf(signal)
  let last: Promise<unknown> = place
  /** A test of what comes after all that came before. */
  const then = (name: string, work: (place: Place) => Promise<void>) => {
    const done = Promise.all([place, last.catch(() => {})]).then(([place]) => work(place))
    last = done
    done.catch(() => {})
    test(`${signal} ${name}`, () => done)
  }
  const first = signal.toLowerCase()
  let before: ReturnType<typeof count>
  // one after the other on the same change: each is the rerun of the one before
  for (const step of steps)
    then(`at ${step}`, async place => {
      place.here.write(shape(first))
      if (step === steps[0]) before = count(place)
      await cut(place, signal, step, 0)
    })
  then('and the rerun', place => again(place, first, before))
  for (let round = 1; round < rounds; round++)
    for (const step of steps)
      then(`in ${step}, and the rerun (${round + 1})`, async place => {
        const token = [signal, step, round].join('-').toLowerCase()
        const [before, later] = [count(place), Math.random() * 2_500]
        place.here.write(shape(token))
        if (await cut(place, signal, step, later)) await again(place, token, before)
      })
}

test.run()
