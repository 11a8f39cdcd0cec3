// A copy of this repository for a test to change at will; the scripts in it act on the copy.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

// what a test removes at its exit it removes when it is told to stop, too
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

export const repository = join(import.meta.dirname, '..')

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

export interface Sandbox {
  root: string
  docker: string
  /** Runs a script of the copy: `script(['up', 'demo'])`. */
  script: (argv: string[], options?: Options) => Result
  remove: () => void
}

/** Copies the files that git tracks or would track; removed by `remove`, or with the process. */
export function sandbox(): Sandbox {
  const root = mkdtempSync(join(tmpdir(), 'kgc-stack-'))
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', 'infra', 'scripts', '.env.example', 'package.json', 'tsconfig.json', '.npmrc', 'Makefile'], {
    cwd: repository,
    encoding: 'utf8',
  })
  // git still lists what was deleted a moment ago
  for (const file of list.split('\0').filter(file => file && existsSync(join(repository, file)))) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    cpSync(join(repository, file), join(root, file))
  }
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'))
  const remove = () => rmSync(root, { recursive: true, force: true })
  process.once('exit', remove)
  return { root, docker: join(root, 'infra/docker'), remove, script: (argv, options = {}) => script(root, argv, options) }
}

function script(root: string, [name, ...rest]: string[], options: Options): Result {
  const start = Date.now()
  const done = spawnSync(options.node ?? process.execPath, ['--import=tsx', join('scripts', `${name}.ts`), ...rest], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', ...options.env },
    input: options.input ?? '',
    timeout: options.timeout ?? 600_000,
    maxBuffer: 64 * 1024 * 1024,
  })
  return { code: done.status ?? -1, stdout: done.stdout, stderr: done.stderr, ms: Date.now() - start }
}
