// Measures of the source that a newcomer feels, with their limits: `make lint` runs it.
// Usage: node --import=tsx test/measures.ts   Exit codes: 0 all within their limits, 1 one is not
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { repository } from './sandbox.ts'

const scripts = join(repository, 'scripts')
const files = new Map(
  readdirSync(scripts, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => [join(scripts, name), readFileSync(join(scripts, name), 'utf8')]),
)

const isCode = (line: string): boolean => line.trim() !== '' && !/^\s*(\/\/|\/?\*)/.test(line)
const code = [...files.values()].flatMap(text => text.split('\n')).filter(isCode)
const all = [...files.values()].flatMap(text => text.split('\n'))

/** Names of exported functions, arrow functions among them. */
const functions = [...files.values()].flatMap(text =>
  [
    ...text.matchAll(
      /^export (?:(?:async )?function\*? (\w+)|const (\w+) =\s+(?:async )?(?:<[^>]*>)?\([^)]*\)(?::[^=]+)? =>)/gm,
    ),
  ].map(([, declared, arrow]) => (declared ?? arrow)!),
)

/** Lines that assert that something is there: `found!`, `list[0]!.name`; no `!=` and no negation. */
const assertions = code
  .map(line => line.replace(/'[^']*'|`[^`]*`|\/(?:[^/\\]|\\.)+\/[a-z]*/g, ''))
  .flatMap(line => line.match(/[\w\])]!(?![=\w])/g) ?? []).length

const folderSizes = new Map<string, number>()
for (const file of files.keys())
  folderSizes.set(dirname(file), (folderSizes.get(dirname(file)) ?? 0) + 1)

/** The files of this project that a file imports, statically or when it runs. */
const importsOf = (file: string): string[] =>
  [...(files.get(file) ?? '').matchAll(/(?:from|import\() ?'(\.[^']+)'/g)]
    .map(([, path]) => join(dirname(file), path!))
    .filter(path => files.has(path))

/** How many files somebody opens who follows the imports from one file to another by the shortest way, both counted. */
function filesBetween(from: string, to: string): number {
  const distance = new Map([[from, 1]])
  for (const [file, steps] of distance)
    for (const next of importsOf(file)) if (!distance.has(next)) distance.set(next, steps + 1)
  return distance.get(to) ?? Number.POSITIVE_INFINITY
}

const deploy = join(scripts, 'deploy.ts')
const restore = join(scripts, 'lib/deploy/restore.ts')
const perThousand = (count: number): number => (1000 * count) / code.length
const mean = (numbers: number[]): number =>
  numbers.reduce((sum, one) => sum + one, 0) / numbers.length

/** The files that docs/adding-an-application.md edits; test/cluster/fifth-application.test.ts does it. */
const editedFiles = new Set(
  [
    ...readFileSync(join(repository, 'docs/adding-an-application.md'), 'utf8').matchAll(
      /^### \d+\. `([^`]+)`/gm,
    ),
  ].map(([, file]) => file),
)

const measures: { what: string; now: number; limit: number; atLeast?: boolean }[] = [
  {
    what: 'letters of an exported function’s name, on average',
    now: mean(functions.map(name => name.length)),
    limit: 12,
    atLeast: true,
  },
  { what: '`!` in 1000 lines of code', now: perThousand(assertions), limit: 5 },
  {
    what: 'characters in a line of code',
    now: mean(code.map(line => line.length)),
    limit: 45,
  },
  {
    what: 'lines over 100 columns, %',
    now: (100 * all.filter(line => line.length > 100).length) / all.length,
    limit: 2,
  },
  {
    what: 'files in the largest folder',
    now: Math.max(...folderSizes.values()),
    limit: 17,
  },
  {
    what: 'files from deploy.ts to kubectl apply',
    now: filesBetween(deploy, join(scripts, 'lib/deploy/apply/apply.ts')),
    limit: 15,
  },
  {
    what: 'files from deploy.ts to a release that is restored',
    now: filesBetween(deploy, restore) + importsOf(restore).length,
    limit: 30,
  },
  { what: 'existing files that a new application edits', now: editedFiles.size, limit: 8 },
]
for (const { what, now, limit, atLeast } of measures) {
  const fine = atLeast ? now >= limit : now <= limit
  if (!fine) process.exitCode = 1
  console.log(`${fine ? '✔' : '✘'} ${now.toFixed(1).padStart(6)} of ${limit}  ${what}`)
}
