// Runs linters and tests, and prints `N passed, N failed` last. Installs what they need before, and says so.
// Usage: node --import=tsx test/run.ts [lint|unit|policy|compose|cluster …] [--grep TEXT]
// Exit codes: 0 all passed, 1 something failed or nothing ran, 2 wrong usage, 130 and 143 interrupted
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { linters } from './lint.ts'
import { endAll, execute } from './process.ts'
import { kubeconfig, needs } from './tools.ts'

/** The groups, and the minutes that one file of them may take: uvu has no limit of its own. A soak repeats its files' tests. */
const groups = { lint: 5, unit: 5, policy: 5, compose: 15, cluster: 15 * Number(process.env.KGC_SOAK || 1) }
type Group = keyof typeof groups

const { values, positionals } = parseArgs({ allowPositionals: true, options: { grep: { type: 'string' } } })
const unknown = positionals.filter(name => !(name in groups))
if (unknown.length) {
  console.error(`There is no group ${unknown.join(', ')}; groups: ${Object.keys(groups).join(', ')}`)
  process.exit(2)
}

interface Run {
  name: string
  argv: string[]
  /** uvu prints its own count; of anything else the exit code counts as one. */
  counts: boolean
}

function runs(group: Group): Run[] {
  if (group === 'lint') return linters().map(({ name, argv }) => ({ name: `lint: ${name}`, argv, counts: false }))
  return readdirSync(join(import.meta.dirname, group), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts'))
    .sort()
    .map(name => ({ name: `${group}/${name}`, argv: [process.execPath, '--import=tsx', join('test', group, name)], counts: true }))
}

const sum = { passed: 0, failed: 0, skipped: 0 }

async function judge({ name, argv, counts }: Run, minutes: number) {
  const { code, text, late, ms } = await execute(argv, { timeout: minutes * 60_000 })
  const count = counts ? read(text, code) : { passed: Number(code === 0), failed: Number(code !== 0), skipped: 0 }
  for (const key of ['passed', 'failed', 'skipped'] as const) sum[key] += count[key]
  const words = `${count.passed} passed, ${count.failed} failed${count.skipped ? `, ${count.skipped} skipped` : ''}`
  console.log(`${count.failed ? '✘' : '✔'} ${name}  ${words} (${(ms / 1000).toFixed(1)} s)`)
  if (late) console.log(`  took longer than ${minutes} minutes and was ended`)
  if (count.failed || count.skipped) console.log(text.trimEnd().replace(/^/gm, '  '))
}

/** uvu's closing lines; a file that ended otherwise than they say has failed. */
function read(text: string, code: number | null) {
  const number = (label: string) => Number([...text.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'gm'))].at(-1)?.[1] ?? 0)
  const [total, passed, skipped] = [number('Total'), number('Passed'), number('Skipped')]
  const failed = total - passed
  return { passed, skipped, failed: code !== 0 || total === 0 ? Math.max(failed, 1) : failed }
}

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const)
  process.once(signal, async () => {
    await endAll()
    console.log(`Interrupted by ${signal}; what was started has been ended.`)
    process.exit(code)
  })

const wanted = (Object.keys(groups) as Group[]).filter(group => !positionals.length || positionals.includes(group))
const lists = wanted.map(group => ({ group, list: runs(group).filter(({ name }) => name.includes(values.grep ?? '')) })).filter(({ list }) => list.length)
const without = new Map<string, string>()

for (const { name, argv, hint, groups } of needs(lists.map(({ group }) => group))) {
  if (groups.every(group => without.has(group))) continue
  console.log(`▶ ${name}`)
  const { code } = await execute(argv, { timeout: 45 * 60_000, live: true })
  if (code === 0) continue
  sum.failed++
  console.log(`✘ ${name}: \`${argv.slice(0, 3).join(' ').split('\n')[0]}\` ended with ${code}. ${hint}`)
  for (const group of groups) without.set(group, name)
}

process.env.KGC_TEST_KUBECONFIG ||= kubeconfig
for (const { group, list } of lists) {
  if (without.has(group)) {
    console.log(`✘ ${group}  not run: it needs "${without.get(group)}"`)
    continue
  }
  // what starts stacks, or shares the cluster, goes one by one, the rest two at a time
  const lane = async () => {
    for (let next = list.shift(); next; next = list.shift()) await judge(next, groups[group])
  }
  await Promise.all(Array.from({ length: group === 'compose' || group === 'cluster' ? 1 : 2 }, lane))
}
if (sum.skipped) console.log(`${sum.skipped} skipped`)
console.log(`${sum.passed} passed, ${sum.failed} failed`)
process.exit(sum.failed || !sum.passed ? 1 : 0)
