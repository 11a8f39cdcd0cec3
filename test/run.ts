// Runs linters and tests, and prints `N passed, N failed` last. Installs what they need before, and
// says so.
// Usage: node --import=tsx test/run.ts [lint|unit|policy|compose|cluster …] [--grep TEXT]
// Exit codes: 0 all passed, 1 something failed or nothing ran, 2 wrong usage, 130 and 143
// interrupted
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { caseTable } from './cases.ts'
import { checkTable } from './checks.ts'
import { isAlone, isLong, lane, widths, type Job } from './lanes.ts'
import { linters } from './lint.ts'
import { memoryFolder } from './memory.ts'
import { mismatchTable } from './mismatches.ts'
import { endAll, execute, words, type ProcessResult } from './process.ts'
import { nodeCommand } from './node.ts'
import { Progress, type Count } from './progress.ts'
import { judgeTable, type Ran } from './table.ts'
import { isNeeded, kubeconfig, needs, type Need } from './tools.ts'

/** How often what a soak repeats is repeated; 0 without one, when files named *.soak.ts do not run. */
const soak = Number(process.env.KGC_SOAK ?? 0)

/**
 * The groups: the lane that their files run in, and the minutes that one file may take, since uvu
 * has no limit. A soak repeats its files' tests.
 */
const groups = {
  lint: { lane: 'checks', minutes: 5 },
  unit: { lane: 'checks', minutes: 15 },
  // the rehearsal runs half of unit once more
  policy: { lane: 'checks', minutes: 20 },
  compose: { lane: 'compose', minutes: 25 * (soak || 1) },
  cluster: { lane: 'cluster', minutes: 25 * (soak || 1) },
} as const
type Group = keyof typeof groups
/**
 * ms for which a preparation may print nothing: a build writes a line every 30 s while it makes
 * progress.
 */
const silence = 20 * 60_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { grep: { type: 'string' } },
})
const unknown = positionals.filter(name => !(name in groups))
if (unknown.length) {
  console.error(
    `There is no group ${unknown.join(', ')}; groups: ${Object.keys(groups).join(', ')}`,
  )
  process.exit(2)
}

interface Run extends Job {
  group: Group
  /** Which Node runs it may turn out while it waits. */
  argv: () => string[]
  /** uvu prints its own count; of anything else the exit code counts as one. */
  counts: boolean
}

function runs(group: Group): Run[] {
  if (group === 'lint')
    return linters().map(({ name, argv }) => ({
      group,
      name: `lint: ${name}`,
      argv: () => argv,
      counts: false,
    }))
  return readdirSync(join(import.meta.dirname, group), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts') || (soak && name.endsWith('.soak.ts')))
    .sort()
    .map(file => [file, `${group}/${file}`] as const)
    .map(([file, name]) => ({
      group,
      name,
      argv: () => [...nodeCommand(name), join('test', group, file)],
      counts: true,
      alone: isAlone(name),
      long: isLong(name),
    }))
}

const ran = new Map<string, Ran>()
const memory = memoryFolder()

async function judge(run: Run) {
  progress.starts(run.name)
  const { lane, minutes } = groups[run.group]
  // what an engine or a cluster reads must be where its daemon sees it
  const env = lane === 'checks' && memory ? { TMPDIR: memory } : {}
  const done = await execute(run.argv(), { limit: minutes * 60_000, env })
  const output = done.ended ? `${done.text}\n${words(done)}` : done.text
  const count = run.counts
    ? read(done)
    : { passed: Number(done.code === 0), failed: Number(done.code !== 0), skipped: 0 }
  ran.set(run.name, { ...count, text: done.text })
  progress.ended(run, count, done.ms, output)
}

/** uvu's closing lines; a file that ended otherwise than they say has failed. */
function read({ text, code }: ProcessResult): Count {
  const number = (label: string) =>
    Number([...text.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'gm'))].at(-1)?.[1] ?? 0)
  const [total, passed, skipped] = [number('Total'), number('Passed'), number('Skipped')]
  const failed = total - passed
  return { passed, skipped, failed: code !== 0 || total === 0 ? Math.max(failed, 1) : failed }
}

/** Makes a thing that groups need; false when that failed. */
async function provide({ name, argv, hint }: Need): Promise<boolean> {
  progress.starts(name)
  const done = await execute(argv, { silence, line: text => console.log(`  ${text}`) })
  progress.provided(
    name,
    done.ms,
    done.code === 0
      ? undefined
      : `\`${argv.slice(0, 3).join(' ').split('\n')[0]}\` ${words(done)}. ${hint}`,
  )
  return done.code === 0
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, async () => {
    await endAll()
    console.log(`Interrupted by ${signal}; what was started has been ended.`)
    process.exit(code)
  })

const wanted = (Object.keys(groups) as Group[]).filter(
  group => !positionals.length || positionals.includes(group),
)
const all = wanted.flatMap(runs).filter(({ name }) => name.includes(values.grep ?? ''))
/** Those that lack something. */
const notRun = new Set<Run>()
const progress = new Progress(all)

// one after the other: each of those that take long takes all processors, or all of the network
const last: Record<'fetched' | 'built', Promise<unknown>> = {
  fetched: Promise.resolve(),
  built: Promise.resolve(),
}
const provided = needs(all.map(({ name }) => name)).map(need => {
  if (need.compiles)
    console.log(`Compiles once, beside the tests that do without: ${need.compiles}`)
  const runs = all.filter(({ name }) => isNeeded(need, name))
  const kind = need.fetched ? 'fetched' : 'built'
  const made = last[kind].then(async () => {
    const left = runs.filter(run => !notRun.has(run))
    if (!left.length || (await provide(need))) return
    progress.skips(left, `they need "${need.name}"`)
    for (const run of left) notRun.add(run)
  })
  last[kind] = made
  return { runs, made }
})
// only now: a cluster that is named already is not made here
process.env.KGC_TEST_KUBECONFIG ||= kubeconfig

/** How many of the needs must be met before it runs. */
const needsBefore = (run: Run) => provided.findLastIndex(({ runs }) => runs.includes(run))

/** Runs it once what it needs is there. */
async function runWhenReady(run: Run) {
  await Promise.all(provided.filter(({ runs }) => runs.includes(run)).map(({ made }) => made))
  if (!notRun.has(run)) await judge(run)
}

/** Runs a lane's groups one after the other, the one that needs least first. */
async function work(name: (typeof groups)[Group]['lane'], room?: Promise<unknown>) {
  const mine = wanted.filter(
    group => groups[group].lane === name && all.some(run => run.group === group),
  )
  for (const group of name === 'checks'
    ? (['unit', 'policy', 'lint'] as const).filter(group => mine.includes(group))
    : mine) {
    const list = all.filter(run => run.group === group)
    const sorted = list.toSorted((one, other) => needsBefore(one) - needsBefore(other))
    await lane(sorted, widths[group], runWhenReady, room)
  }
}

// the lane that takes longest gets the room of the others once they have ended
let endCluster = () => {}
const clusterEnded = new Promise<void>(resolve => (endCluster = resolve))
const checks = work('checks')
const compose = work('compose', Promise.all([checks, clusterEnded]))
await work('cluster', Promise.all([checks, compose]))
endCluster()
await Promise.all([checks, compose])
const tables = values.grep ? [] : [mismatchTable, caseTable(), checkTable()]
process.exit(progress.end(tables.map(table => judgeTable(table, wanted, ran))))
