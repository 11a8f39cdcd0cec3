// How fast deploys are: a good one and one that changes nothing, beside bare kubectl; and how soon
// one that fails says why and has the old version back.
import { say } from '../../scripts/lib/report.ts'
import type { Row } from '../bench.ts'
import { load } from './machine.ts'
import { bare, begin, clear, deploy, found, script, write, type Deploy } from './setup.ts'

/** ms for which all must stay ready: scripts/lib/deploy/change.ts. */
const window = 10_000
const api = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'kgc-api' } }
const container = (more: object, name = 'kgc-api') => ({
  ...api,
  spec: { template: { spec: { containers: [{ name, ...more }] } } },
})
const fails = ['sh', '-c', 'echo the reason why; exit 1']

/** What can be wrong with a version: by name, what changes the demo so. */
const failures: [string, () => Promise<object>][] = [
  ['bad image', async () => container({ image: await unrunnable() })],
  ['crash loop', async () => container({ command: fails })],
  [
    'missing key',
    async () =>
      container({
        env: [
          {
            name: 'MISSING',
            valueFrom: { configMapKeyRef: { name: 'kgc-config', key: 'MISSING' } },
          },
        ],
      }),
  ],
  [
    'failed migration',
    async () => ({
      ...container({ command: fails }, 'kgc-migrate'),
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'kgc-migrate' },
    }),
  ],
]

/** ms; `same`: nothing changes. */
interface Times {
  changed: number[]
  same: number[]
}
/** Of deploys by the script, also their pre-flight alone and how many kubectl processes they start. */
interface ScriptTimes extends Times {
  preflight: number[]
  kubectl: number[]
  peak: number
}

/** What is changed, another value each time. */
let value = 10
const another = () => write(String(value++))

export async function measured(runs: number): Promise<Row[]> {
  say(`Deploys of the demo to the test cluster, ${runs} of each; load ${load()}`)
  begin()
  // pods are not the same with both, so that each begins from nothing
  const bare = byHand(runs)
  clear()
  const { peak, ...ours } = await byScript(runs)
  return [
    beside(
      'a changed setting',
      ours.changed,
      bare.changed,
      bare => bare * 1.1 + window,
      '1.1 × bare + 10 s',
    ),
    beside('nothing changed', ours.same, bare.same, () => 5_000, '5 s'),
    {
      name: 'nothing changed: the pre-flight',
      ours: median(ours.preflight),
      limit: 2_500,
      target: '2.5 s',
    },
    {
      name: 'nothing changed: kubectl processes',
      ours: median(ours.kubectl),
      unit: 'processes',
    },
    ...(await broken()),
    { name: 'deploy.ts, peak memory', ours: Math.round(peak / 1024), unit: 'MiB' },
  ]
}

function byHand(runs: number): Times {
  const times: Times = { changed: [], same: [] }
  found()
  another()
  told('from nothing, kubectl', bare())
  for (let run = 0; run < runs; run++) {
    another()
    times.changed.push(told('a changed setting, kubectl', bare()))
    times.same.push(told('nothing changed, kubectl', bare()))
  }
  return times
}

async function byScript(runs: number): Promise<ScriptTimes> {
  const times: ScriptTimes = { changed: [], same: [], preflight: [], kubectl: [], peak: 0 }
  const timed = async (name: string): Promise<Deploy> => {
    const done = await good(deploy())
    times.peak = Math.max(times.peak, done.peak)
    const steps = stepTimes(done).map(([name, ms]) => `${name} ${seconds(ms)}`)
    const processes = `${done.kubectl.length} kubectl processes`
    told(`${name}, deploy.ts (${steps.join(', ')}; ${processes})`, done.ms)
    return done
  }
  found()
  another()
  await timed('from nothing')
  script(['admin', 'demo', '--target', 'kubernetes'])
  for (let run = 0; run < runs; run++) {
    another()
    times.changed.push((await timed('a changed setting')).ms)
    const same = await timed('nothing changed')
    times.same.push(same.ms)
    times.preflight.push(new Map(stepTimes(same)).get('Pre-flight')!)
    times.kubectl.push(same.kubectl.length)
  }
  return times
}

const stepTimes = ({ events }: Deploy): [name: string, ms: number][] =>
  events
    .filter(({ event, state }) => event === 'step' && state === 'done')
    .map(({ name, ms }) => [name, ms])

async function broken(): Promise<Row[]> {
  const rows: Row[] = []
  for (const [name, patch] of failures) {
    write(String(value - 1), [await patch()])
    rows.push(...put(name, await deploy()))
  }
  return rows
}

const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!
function beside(
  name: string,
  ours: number[],
  bare: number[],
  limit: (bare: number) => number,
  target: string,
): Row {
  return {
    name: `deploy.ts, ${name} / kubectl apply and rollout status`,
    ours: median(ours),
    bare: median(bare),
    limit: limit(median(bare)),
    target,
  }
}
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
function told(name: string, ms: number): number {
  say(`  ${name}: ${seconds(ms)} (load ${load()})`)
  return ms
}

async function good(running: Promise<Deploy>): Promise<Deploy> {
  const done = await running
  if (done.code !== 0)
    throw new Error(
      `a deploy that should be good ended with ${done.code}: ${done.text.slice(-3000)}`,
    )
  return done
}

/** From the apply to the named cause, and to the old version's proof. */
function put(name: string, { code, events, shown, text }: Deploy): Row[] {
  if (code !== 5) throw new Error(`${name} ended with ${code}: ${text.slice(-3000)}`)
  const at = (find: (event: Record<string, any>) => boolean) =>
    events.find(find)?.time as number | undefined
  const applied = at(
    ({ event, name, state }) => event === 'step' && name === 'Apply' && state === 'started',
  )!
  const named = at(({ event, state }) => event === 'workload' && state === 'failed')!
  const proven =
    at(({ event, name, state }) => event === 'step' && name === 'Smoke it' && state === 'done') ??
    events.at(-1)!.time
  const after = (time?: number) => (time ? seconds(time - applied) : '?')
  say(
    `  ${name}, after the apply: shown ${after(shown)}, named ${after(named)}, the old release proven ${after(proven)} (load ${load()})`,
  )
  return [
    {
      name: `${name}: cause named, after Kubernetes shows it`,
      ours: Math.max(0, named - (shown ?? applied)),
      limit: 10_000,
      target: '10 s',
    },
    {
      name: `${name}: the old release proven, after the apply`,
      ours: proven - applied,
      limit: 30_000,
      target: '30 s',
    },
  ]
}

/** An image that its registry has and that no node here can run. */
async function unrunnable(): Promise<string> {
  return (await import('../cluster/deploy/test-environment.ts')).unrunnable()
}
