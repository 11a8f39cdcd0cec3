// How fast the tools are, beside the bare thing: on a running demo, and on the test cluster. A
// measure, not a test: `make bench`.
// Usage: node --import=tsx test/bench.ts [help|up|smoke|deploy|backup …] [--runs N] [--megabytes N] [--json]
// Exit codes: 0 measured, 2 wrong usage, 3 no demo is running (up, smoke) or there is one on the
// test cluster (deploy)
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readComposeConfig, stackOf } from '../scripts/lib/compose/stack.ts'
import { readContainers } from '../scripts/lib/compose/containers.ts'
import { Failure, exit } from '../scripts/lib/errors.ts'
import { main, printResult, say, table } from '../scripts/lib/report.ts'
import { root } from '../scripts/lib/repository.ts'
import { kubeconfig } from './tools.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '7' },
    json: { type: 'boolean' },
    megabytes: { type: 'string', default: '1000' },
  },
})
const parts = { help, up, smoke, deploy, backup }
const runs = Number(values.runs)

export interface Row {
  name: string
  /** ms, unless `unit` says otherwise. */
  ours: number
  unit?: string
  bare?: number
  limit?: number
  /** How the limit comes about. */
  target?: string
}

async function demoRuns() {
  const stack = stackOf('demo')
  const seen = await readContainers(stack.project)
  const missing = seen.size
    ? Object.keys((await readComposeConfig(stack)).services).filter(name => !seen.has(name))
    : ['nothing of it runs']
  if (missing.length)
    throw new Failure(exit.refused, 'Find the demo', `not there: ${missing.join(', ')}`, {
      next: 'make demo',
    })
}

/** A warm `up` against Compose's own: both have nothing to do but to see that. */
function up(): Row[] {
  const bare = median(() =>
    timed([...stackOf('demo').argv, 'up', '--detach', '--wait', '--no-build']),
  )
  const ours = median(() => timed(node('scripts/up.ts', 'demo')))
  return [
    {
      name: 'up.ts demo / docker compose up --wait',
      ours,
      bare,
      limit: bare + 2000,
      target: 'bare + 2 s',
    },
    changed(),
  ]
}

/**
 * Both change the same: a setting of the databases, by which all that needs them is made anew. The
 * last up takes the change back.
 */
function changed(): Row {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-bench-'))
  const file = join(folder, 'change.yml')
  let round = 0
  const change = (argv: (file: string) => string[]) => {
    const services = ['kgc-db', 'twenty-db', 'horilla-db', 'kgc-web'].map(name => [
      name,
      { environment: { KGC_BENCH: String(++round) } },
    ])
    writeFileSync(file, JSON.stringify({ services: Object.fromEntries(services) }))
    return timed(argv(file))
  }
  try {
    const bare = median(() =>
      change(file => [...stackOf('demo', [file]).argv, 'up', '--detach', '--wait', '--no-build']),
    )
    const ours = median(() => change(file => node('scripts/up.ts', 'demo', '-f', file)))
    return {
      name: 'changed: up.ts demo / docker compose up --wait',
      ours,
      bare,
      limit: bare + 3000,
      target: 'bare + 3 s',
    }
  } finally {
    timed(node('scripts/up.ts', 'demo'))
    rmSync(folder, { recursive: true })
  }
}

/** The health checks run side by side: all should take little longer than the slowest. */
function smoke(): Row[] {
  const slowest: number[] = []
  const ours = median(() =>
    timed(node('scripts/smoke.ts', 'demo', '--quick', '--json'), stdout => {
      const events = stdout
        .trim()
        .split('\n')
        .map(line => JSON.parse(line) as { event: string; ms: number })
      slowest.push(Math.max(...events.filter(({ event }) => event === 'check').map(({ ms }) => ms)))
    }),
  )
  const bare = middle(slowest.slice(1))
  return [
    {
      name: 'smoke.ts --quick / its slowest check',
      ours,
      bare,
      limit: bare + 300,
      target: 'bare + 0.3 s',
    },
  ]
}

/** `--help` of every script against a script that imports zx and does nothing. */
function help(): Row[] {
  const folder = mkdtempSync(join(root, 'node_modules/.bench-'))
  try {
    const empty = join(folder, 'empty.ts')
    writeFileSync(empty, "import 'zx'\n")
    const bare = median(() => timed(node(empty)))
    const scripts = readdirSync(join(root, 'scripts')).filter(name => name.endsWith('.ts'))
    const ours = (name: string) => median(() => timed(node(`scripts/${name}`, '--help')))
    return scripts.map(name => ({
      name: `${name} --help / an empty zx script`,
      ours: ours(name),
      bare,
      limit: bare * 1.3,
      target: '1.3 × bare',
    }))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function clusterRuns() {
  process.env.KGC_TEST_KUBECONFIG ||= kubeconfig
  if (!existsSync(process.env.KGC_TEST_KUBECONFIG))
    throw new Failure(exit.refused, 'Find the test cluster', 'it is not there', {
      next: 'make cluster-up',
    })
}

/** Deploys take minutes: three of each are measured. */
async function deploy(): Promise<Row[]> {
  return (await import('./bench/deploy.ts')).measured(Math.min(runs, 3))
}

/** Once: with a gigabyte of rows it takes minutes. */
async function backup(): Promise<Row[]> {
  return (await import('./bench/backup.ts')).measureBackup(Number(values.megabytes))
}

const node = (...argv: string[]): string[] => [process.execPath, '--import=tsx', ...argv]

/**
 * ms that a command took; its exit code does not matter: Compose's --wait fails on a one-shot that
 * ended well.
 */
function timed(argv: string[], read: (stdout: string) => void = () => {}): number {
  const start = performance.now()
  const done = spawnSync(argv[0]!, argv.slice(1), {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ms = performance.now() - start
  if (done.error) throw done.error
  read(done.stdout)
  return ms
}

function median(measure: () => number): number {
  measure()
  return middle(Array.from({ length: runs }, measure))
}

const middle = (list: number[]): number => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!

function formatValue(value: number | undefined, unit: string | undefined): string {
  if (value === undefined) return ''
  if (unit) return `${value} ${unit}`
  return value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`
}

function verdict(value: number, limit: number | undefined): string {
  if (limit === undefined) return ''
  return value <= limit ? '✔' : '✘'
}

function line({ name, ours, bare, limit, target, unit }: Row): string[] {
  const words = (value?: number) => formatValue(value, unit)
  return [
    name,
    words(ours),
    words(bare),
    target ? `${target}: ${words(limit)}` : '',
    verdict(ours, limit),
  ]
}

await main(async () => {
  const wanted = (Object.keys(parts) as (keyof typeof parts)[]).filter(
    name => !positionals.length || positionals.includes(name),
  )
  if (
    !(runs >= 1) ||
    !(Number(values.megabytes) >= 1) ||
    positionals.some(name => !(name in parts))
  )
    throw new Failure(
      exit.usage,
      'Read the arguments',
      `parts are ${Object.keys(parts).join(', ')}; --runs and --megabytes are numbers`,
    )
  if (wanted.includes('up') || wanted.includes('smoke')) await demoRuns()
  if (wanted.includes('deploy')) clusterRuns()
  say(`Medians of ${runs} runs; a run more before them, not counted`)
  const rows: Row[] = []
  for (const name of wanted) rows.push(...(await parts[name]()))
  if (values.json) return printResult(JSON.stringify(rows))
  printResult(table([['', 'ours', 'bare', 'target', ''], ...rows.map(line)]))
})
