// A copy of this repository for a test to change at will; the scripts in it act on the copy.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readTypeScript } from './node.ts'
import { inProcess, type CommandOutput } from './one-process.ts'

// what a test removes at its exit it removes when it is told to stop, too
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

export const repository = join(import.meta.dirname, '..')

/**
 * What every script of a test gets: no colours, and nothing of the workflow that the test may run
 * in, which would change what it says and does.
 */
const plain = () => {
  const workflow = Object.keys(process.env).filter(key => /^(CI|GITHUB_\w+)$/.test(key))
  return { ...Object.fromEntries(workflow.map(key => [key, undefined])), NO_COLOR: '1' }
}

export interface Result {
  code: number
  stdout: string
  stderr: string
  /** ms */
  ms: number
}

export interface Options {
  env?: Record<string, string>
  /** Another Node to run it with. */
  node?: string
  input?: string
  /** ms */
  timeout?: number
}

/** A script that runs. */
export interface Started {
  pid: number
  /** What it has said so far, both streams in one too. */
  output: { stdout: string; stderr: string; all: string }
  said: () => string
  /** Those of --json. */
  events: () => Record<string, any>[]
  /** Comes with the line; throws when it has ended without. */
  line: (pattern: RegExp) => Promise<void>
  kill: (signal: NodeJS.Signals) => boolean
  /** null when a signal ended it. */
  code: Promise<number | null>
}

export interface Sandbox {
  root: string
  docker: string
  /** Runs a script of the copy: `script(['up', 'demo'])`. */
  script: (argv: string[], options?: Options) => Result
  /** The same in this process, in a tenth of the time (one-process.ts says what it cannot show). */
  inProcess: (argv: string[], env?: Record<string, string>) => Promise<CommandOutput>
  /** Starts it, while this process goes on; killed with the process. */
  start: (argv: string[], env?: Record<string, string>) => Started
  remove: () => void
}

/** What most tests need of it. */
const usual = [
  'infra',
  'scripts',
  '.env.example',
  'package.json',
  'tsconfig.json',
  '.npmrc',
  'Makefile',
]

/**
 * Copies the files in `paths` that git tracks or would track; removed by `remove`, or with the
 * process.
 */
export function sandbox(paths = usual): Sandbox {
  const root = mkdtempSync(join(tmpdir(), 'kgc-stack-'))
  const list = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard', ...paths],
    { cwd: repository, encoding: 'utf8' },
  )
  // git still lists what was deleted a moment ago
  for (const file of list
    .split('\0')
    .filter(file => file && !file.startsWith('forks/') && existsSync(join(repository, file)))) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    cpSync(join(repository, file), join(root, file))
  }
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'))
  const remove = () => rmSync(root, { recursive: true, force: true })
  process.once('exit', remove)
  return {
    root,
    docker: join(root, 'infra/docker'),
    remove,
    script: (argv, options = {}) => script(root, argv, options),
    inProcess: ([name, ...rest], env) =>
      inProcess(root, [`${name}.ts`, ...rest], { ...plain(), ...env }),
    start: (argv, env) => start(root, argv, env),
  }
}

function script(root: string, [name, ...rest]: string[], options: Options): Result {
  const start = Date.now()
  const done = spawnSync(
    options.node ?? process.execPath,
    [...(options.node ? ['--import=tsx'] : readTypeScript), join('scripts', `${name}.ts`), ...rest],
    {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...plain(), ...options.env },
      input: options.input ?? '',
      timeout: options.timeout ?? 600_000,
      maxBuffer: 64 * 1024 * 1024,
    },
  )
  return {
    code: done.status ?? -1,
    stdout: done.stdout,
    stderr: done.stderr,
    ms: Date.now() - start,
  }
}

/** Starts a script of the repository or the copy in `root`. */
export function start(
  root: string,
  [name, ...rest]: string[],
  env: Record<string, string> = {},
): Started {
  const child = spawn(
    process.execPath,
    [...readTypeScript, join('scripts', `${name}.ts`), ...rest],
    {
      cwd: root,
      env: { ...process.env, ...plain(), ...env },
    },
  )
  const output = { stdout: '', stderr: '', all: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', data => {
      output[stream] += data
      output.all += data
    })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  const code = new Promise<number | null>(done =>
    child.on('close', code => {
      process.off('exit', end)
      done(code)
    }),
  )
  return {
    pid: child.pid!,
    output,
    said: () => output.all,
    events: () =>
      output.stdout
        .split('\n')
        .slice(0, -1)
        .filter(line => line.startsWith('{'))
        .map(line => JSON.parse(line)),
    line: pattern =>
      new Promise((done, fail) => {
        const look = () => pattern.test(output.all) && done()
        for (const stream of [child.stdout, child.stderr]) stream.on('data', look)
        look()
        void code.then(() => fail(new Error(`no line ${pattern}:\n${output.all}`)))
      }),
    kill: signal => child.kill(signal),
    code,
  }
}
