// What every script begins with: arguments, --help, --version, --json. It imports very little, so
// that help comes at once; the work is loaded once the arguments are understood.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { exit, Failure } from './errors.ts'
import { writeStdout } from './output.ts'
import { root } from './repository.ts'

type Options = NonNullable<ParseArgsConfig['options']>
type Values<T extends Options> = ReturnType<
  typeof parseArgs<{ options: T & typeof common; allowPositionals: true }>
>['values']

/** A script. */
interface Command<T extends Options> {
  /** What --help prints first: usage, what it does, its own options. */
  usage: string
  /** The exit codes that it can end with. */
  exitCodes: number[]
  /** Said after the exit codes. */
  note?: string
  /** Its own options, as parseArgs takes them. */
  options: T
  /** Whether words may stand beside the options; they may unless it says so. */
  allowPositionals?: boolean
  /** Imports the work and does it; a number is the exit code. */
  run: (given: { values: Values<T>; positionals: string[] }) => Promise<number | void>
}

/** Kinds of options. */
export const flag = { type: 'boolean' } as const
export const text = { type: 'string' } as const
export const list = { type: 'string', multiple: true } as const

const common = { json: flag } as const
const commonHelp = `With every script:
  --json      NDJSON events on stdout
  --version   the version of this toolkit, and its commit
  --help      this text`

const codeMeanings: Record<number, string> = {
  0: 'done, or nothing to do',
  1: 'a bug in the script',
  2: 'wrong usage or configuration',
  3: 'refused before anything was touched',
  4: 'locked by another',
  5: 'failed; the state before it was kept or restored',
  6: 'failed and could not be restored',
  7: 'timed out, the state is not known',
  130: 'interrupted (143 when terminated, 129 when its terminal was closed)',
}

/** The script's place among the words: node has it second, zx third. */
const scriptIndex = (): number => process.argv.findIndex(word => word.endsWith('.ts'))

/** Reads a script's words and does its work; ends the process with its exit code. */
export async function runCommand<T extends Options>(command: Command<T>): Promise<void> {
  const args = process.argv.slice(scriptIndex() + 1)
  if (args.some(word => word === '--help' || word === '-h')) printAndExit(formatHelp(command))
  if (args.includes('--version')) printAndExit(readToolkitVersion())

  const { main, setJsonOutput } = await import('./report.ts')
  await main(async () => {
    const { allowPositionals = true } = command
    const options = { ...command.options, ...common }
    const { values, positionals } = parseArgs({ args, allowPositionals, options })
    setJsonOutput(Boolean((values as { json?: boolean }).json))
    return command.run({ values: values as Values<T>, positionals })
  })
}

function printAndExit(message: string): never {
  writeStdout(`${message}\n`)
  process.exit(exit.done)
}

function formatHelp(command: Pick<Command<Options>, 'usage' | 'exitCodes' | 'note'>): string {
  const { usage, exitCodes, note } = command
  // a bug may end every script
  const codes = [0, 1, ...exitCodes.filter(code => code > 1)].map(
    code => `  ${String(code).padEnd(4)}${codeMeanings[code]}`,
  )
  return [`${usage}\n`, `${commonHelp}\n`, 'Exit codes:', ...codes, ...(note ? [note] : [])].join(
    '\n',
  )
}

/** `kgc-stack 1.2.3`, and in a clone the commit: `kgc-stack 1.2.3 (1a2b3c4)`. */
export function readToolkitVersion(): string {
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
  }
  // a folder without a .git of its own would be told the commit of a repository around it
  const asked = existsSync(join(root, '.git'))
    ? spawnSync('git', ['-C', root, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' })
    : undefined
  const commit = asked?.status === 0 ? ` (${asked.stdout.trim()})` : ''
  return `${name} ${version}${commit}`
}

/** Wrong words behind a script's name. */
export const usageFailure = (why: string): Failure =>
  new Failure(exit.usage, 'Read the arguments', why, {
    next: `npx zx scripts/${basename(process.argv[scriptIndex()] ?? '')} --help`,
  })
