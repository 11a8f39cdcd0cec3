// Runs linters and tests, and prints `N passed, N failed` last.
// Usage: node --import=tsx test/run.ts [lint|unit|policy|compose …] [--grep TEXT]
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { linters } from './lint.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { grep: { type: 'string' } } })
const folder = import.meta.dirname
const groups = ['lint', 'unit', 'policy', 'compose']
const wanted = positionals.length ? positionals : groups
const unknown = wanted.filter(group => !groups.includes(group))
if (unknown.length) {
  console.error(`There is no group ${unknown.join(', ')}; groups: ${groups.join(', ')}`)
  process.exit(2)
}

/** Minutes a test file may take: uvu has no limit of its own. */
const limit = 15

interface Count {
  passed: number
  failed: number
  skipped: number
}

interface Run {
  name: string
  argv: string[]
  /** uvu prints its own count; of anything else the exit code counts as one. */
  counts: boolean
}

function runs(group: string): Run[] {
  if (group === 'lint') return linters().map(({ name, argv }) => ({ name: `lint: ${name}`, argv, counts: false }))
  const path = join(folder, group)
  if (!existsSync(path)) return []
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts'))
    .sort()
    .map(name => ({ name: `${group}/${name}`, argv: [process.execPath, '--import=tsx', join(path, name)], counts: true }))
}

function execute({ name, argv, counts }: Run): Promise<Count> {
  const start = Date.now()
  return new Promise(resolve => {
    const child = spawn(argv[0]!, argv.slice(1), { cwd: join(folder, '..'), stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, NO_COLOR: '1' } })
    let text = ''
    const hear = (data: Buffer) => void (text += data)
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    let late = false
    const timer = setTimeout(() => ((late = true), process.kill(-child.pid!, 'SIGKILL')), limit * 60_000)
    child.on('error', error => (text += error.message))
    child.on('close', code => {
      clearTimeout(timer)
      const count = counts ? read(text, code) : { passed: Number(code === 0), failed: Number(code !== 0), skipped: 0 }
      const seconds = ((Date.now() - start) / 1000).toFixed(1)
      console.log(`${count.failed ? '✘' : '✔'} ${name}  ${count.passed} passed, ${count.failed} failed${count.skipped ? `, ${count.skipped} skipped` : ''} (${seconds} s)`)
      if (late) console.log(`  took longer than ${limit} minutes and was ended`)
      if (count.failed || count.skipped) console.log(text.trimEnd().replace(/^/gm, '  '))
      resolve(count)
    })
  })
}

/** uvu's closing lines; a file that ended otherwise than they say has failed. */
function read(text: string, code: number | null): Count {
  const number = (label: string) => Number(new RegExp(`${label}:\\s+(\\d+)`).exec(text)?.[1] ?? 0)
  const [total, passed, skipped] = [number('Total'), number('Passed'), number('Skipped')]
  const failed = total - passed
  return { passed, skipped, failed: code !== 0 || total === 0 ? Math.max(failed, 1) : failed }
}

const sum: Count = { passed: 0, failed: 0, skipped: 0 }
for (const group of groups.filter(name => wanted.includes(name))) {
  const list = runs(group).filter(({ name }) => !values.grep || name.includes(values.grep))
  // what starts engines and stacks goes one by one, the rest two at a time
  const lanes = group === 'compose' ? 1 : 2
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (let next = list.shift(); next; next = list.shift()) {
        const count = await execute(next)
        for (const key of ['passed', 'failed', 'skipped'] as const) sum[key] += count[key]
      }
    }),
  )
}
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`)
process.exit(sum.failed || !sum.passed ? 1 : 0)
