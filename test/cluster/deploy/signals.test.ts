// Deploys that are ended at every phase boundary, by each signal: the rerun ends where an undisturbed deploy would have, migrations run once,
// nobody is told anything twice. The three signals at once, each in a namespace of its own. KGC_SOAK=N does all of it N times, from the second
// time on at any moment of the phase.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { inbox, type Inbox } from './inbox.ts'
import { stand, type Stand } from './stand.ts'

type Json = Record<string, any>
const test = suite('signals')
const rounds = Number(process.env.KGC_SOAK || 1)
const signals = { SIGKILL: null, SIGTERM: 143, SIGINT: 130 } as const
type Signal = keyof typeof signals
const phases = ['Pre-flight', 'Plan', 'Lock', 'Apply', 'Watch', 'Smoke', 'Record']

/** What serves, with everything that differs from one deploy to the next taken out. */
function state({ get }: Stand, token: string): string {
  const { items } = get('deployments,statefulsets,services,jobs')
  const config = get('deployment', 'alpha').spec.template.spec.containers[0].envFrom[0].configMapRef.name
  const specs = items.map(({ kind, metadata, spec }: Json) => [kind, metadata.name, spec.template?.spec ?? spec])
  const text = JSON.stringify([...specs, get('configmap', config).data])
  return text.replaceAll(token, 'TOKEN').replaceAll(/-[a-z0-9]{10}"/g, '"').replaceAll(/"batch.kubernetes.io[^,]*,|"clusterIPs?":("[^"]*"|\[[^\]]*\]),/g, '')
}

/** The migrations that have been started: a Job each. */
const migrations = ({ get }: Stand): number =>
  new Set(get('events').items.filter(({ reason, involvedObject: one }: Json) => reason === 'SuccessfulCreate' && one.kind === 'Job').map(({ involvedObject }: Json) => involvedObject.uid)).size
const readyPods = ({ get }: Stand): string[] =>
  get('pods')
    .items.filter(({ metadata, status }: Json) => !metadata.deletionTimestamp && status.conditions?.some(({ type, status }: Json) => type === 'Ready' && status === 'True'))
    .map(({ metadata }: Json) => metadata.labels.app)
    .sort()
const holder = ({ get }: Stand) => get('lease', 'kgc-deploy').spec.holderIdentity

interface Place {
  here: Stand
  hook: Inbox
  env: Record<string, string>
  /** The end state of an undisturbed deploy. */
  calm: string
}
const shape = (token: string) => ({ config: { A: token }, migrate: `echo ${token}` })

async function ready(signal: Signal): Promise<Place> {
  const here = stand(`kgc-t-${signal.toLowerCase()}`)
  const hook = await inbox()
  const env = { SLACK_WEBHOOK_URL: hook.address }
  here.write(shape('calm-calm'))
  const first = here.start(['deploy', 'test'], env)
  assert.is(await first.code, 0, first.said())
  return { here, hook, env, calm: state(here, 'calm-calm') }
}

async function cut(place: Place, signal: Signal, phase: string, token: string, later: number) {
  const { here, hook, env } = place
  const told = hook.bodies.length
  const before = migrations(here)
  here.write(shape(token))
  const deploy = here.start(['deploy', 'test'], env)
  await deploy.line(new RegExp(`▶ ${phase}`))
  await new Promise(done => setTimeout(done, later))
  const killed = Date.now()
  deploy.kill(signal)
  const code = await deploy.code
  // it may have come to its end before
  if (later && code === 0) return
  assert.is(code, signals[signal], deploy.said())
  assert.ok(Date.now() - killed < 4_000, `it took ${Date.now() - killed} ms to end`)
  if (signal !== 'SIGKILL') assert.is(holder(here), undefined, 'the lock is free')
  const again = here.start(['deploy', 'test'], env)
  assert.is(await again.code, 0, again.said())
  assert.is(state(here, token), place.calm)
  assert.equal(readyPods(here), ['alpha', 'beta'])
  assert.is(migrations(here), before + 1, 'the migration ran once')
  assert.is(holder(here), undefined, 'the lock is free')
  assert.is(here.releases().at(-1)!.ending, 'succeeded')
  assert.not.ok(here.releases().some(({ ending }) => ending === 'applying'))
  const said = hook.said().slice(told)
  assert.equal([...new Set(said)], said, 'nothing is told twice')
  const ends = said.filter(text => /succeeded/.test(text)).length
  // killed between the record and the message it is not told at all
  assert.ok(ends === 1 || (later && !ends), `told: ${said.join(', ')}`)
}

for (const signal of Object.keys(signals) as Signal[]) {
  const place = ready(signal)
  let last: Promise<unknown> = place
  for (let round = 0; round < rounds; round++)
    for (const phase of phases) {
      const before = last.catch(() => {})
      const done = Promise.all([place, before]).then(([place]) =>
        cut(place, signal, phase, [signal, phase, round].join('-').toLowerCase(), round && Math.random() * 2_500),
      )
      last = done
      done.catch(() => {})
      test(`${signal} at ${phase}${round ? `, ${round + 1}` : ''}`, () => done)
    }
}

test.run()
