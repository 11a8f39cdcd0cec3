// The stack as its Compose files describe it.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { maskShellValues } from '../env/shell.ts'
import { Failure, exit } from '../errors.ts'
import { isMonitored } from '../env/monitored.ts'
import { dockerFolder, listApplications, monitoringFolder, root } from '../repository.ts'
import { run, type RunOutput, type RunOptions } from '../run.ts'
import { lastLineOf } from '../text.ts'

/** A stack on this machine: which files and which env files make it. */
export interface Stack {
  /** dev, prod, demo …: the override `docker-compose.<mode>.yml`. */
  mode: string
  project: string
  /** Suffix of its env files: '' or '.demo'. */
  suffix: string
  /** Whether its monitoring belongs to it. */
  monitored?: boolean
  /** Everything before the Compose subcommand. */
  argv: string[]
}

/** The overrides that are a way to run the stack. `build` is not: it says what is built. */
export function stackModes(): string[] {
  const names = readdirSync(dockerFolder).map(
    name => /^docker-compose\.(\w+)\.yml$/.exec(name)?.[1],
  )
  return names.filter(name => name !== undefined && name !== 'build') as string[]
}

/**
 * The stack of a mode. dev and prod are two ways to run the machine's own stack and share its env
 * files, volumes and project; any other mode is a stack of its own beside it. `files` are further
 * Compose files; `always`: with its monitoring, whatever was chosen.
 * KGC_PROJECT renames the project, so that a test can stand beside a demo.
 */
export function stackOf(mode: string, files: string[] = [], always = false): Stack {
  if (!stackModes().includes(mode))
    throw new Failure(
      exit.usage,
      'Choose the stack',
      `there is no docker-compose.${mode}.yml in infra/docker`,
      { next: `one of: ${stackModes().join(', ')}` },
    )
  const suffix = mode === 'dev' || mode === 'prod' ? '' : `.${mode}`
  const project = process.env.KGC_PROJECT ?? (suffix ? `kgc-${mode}` : 'kgc')
  const monitored = always || isMonitored(mode, suffix)
  const all = ['docker-compose.yml', `docker-compose.${mode}.yml`]
    .map(name => join(dockerFolder, name))
    .concat(monitored ? monitoringFiles(mode) : [], files)
  const envFiles = [dockerFolder, ...(monitored ? [monitoringFolder] : [])]
  return {
    mode,
    project,
    suffix,
    monitored,
    argv: [
      'docker',
      'compose',
      '-p',
      project,
      ...envFiles.flatMap(folder => ['--env-file', join(folder, `.env${suffix}`)]),
      ...all.flatMap(file => ['-f', file]),
    ],
  }
}

/** What joins the monitoring to a stack: its services, what each application has for it, and the mode's override. */
const monitoringFiles = (mode: string): string[] =>
  [
    join(monitoringFolder, 'docker-compose.yml'),
    ...listApplications().map(name => join(dockerFolder, name, 'docker-compose.monitoring.yml')),
    join(monitoringFolder, `docker-compose.${mode}.yml`),
  ].filter(existsSync)

/** The env files that the stack reads and that are not there. */
export function missingEnvFiles(stack: Stack): string[] {
  const folders = [
    '.',
    ...listApplications().filter(name => existsSync(join(dockerFolder, name, '.env.example'))),
  ]
  return folders
    .map(folder => join('infra/docker', folder))
    .concat(stack.monitored ? ['infra/monitoring'] : [])
    .map(folder => join(folder, `.env${stack.suffix}`))
    .filter(path => !existsSync(join(root, path)))
}

export interface ComposeService {
  image?: string
  cpus?: number | string
  /** Bytes. */
  mem_limit?: number | string
  /** Bytes. */
  mem_reservation?: number | string
  user?: string
  cap_drop?: string[]
  cap_add?: string[]
  restart?: string
  ports?: { published?: string; host_ip?: string; target: number }[]
  healthcheck?: { test?: string[]; disable?: boolean }
  depends_on?: Record<string, { condition: string }>
  labels?: Record<string, string>
  environment?: Record<string, string | null>
  volumes?: { type: string; source?: string; target: string }[]
  networks?: Record<string, unknown>
}

export interface ComposeConfig {
  name: string
  services: Record<string, ComposeService>
  volumes?: Record<string, { name: string }>
  networks?: Record<string, { name: string; internal?: boolean }>
}

/** `docker compose <arguments>` of the stack, by its env files alone: the shell has no say. */
export const runCompose = (
  stack: Stack,
  argv: string[],
  options: RunOptions = {},
): Promise<RunOutput> =>
  run([...stack.argv, ...argv], {
    cwd: dockerFolder,
    env: maskShellValues(root, stack.suffix),
    ...options,
  })

/** The stack's files as Compose reads them. Throws Failure (usage) with Compose's own words. */
export async function readComposeConfig(stack: Stack): Promise<ComposeConfig> {
  const missing = missingEnvFiles(stack)
  if (missing.length)
    throw new Failure(exit.usage, 'Read the env files', `not there: ${missing.join(', ')}`, {
      next: stack.suffix ? `npx zx scripts/env.ts ${stack.mode}` : 'make env',
    })
  const output = await runCompose(stack, ['config', '--format', 'json'], { nothrow: true })
  if (output.code !== 0)
    throw new Failure(
      exit.usage,
      `Read the Compose files of ${stack.mode}`,
      lastLineOf(output.stderr),
      { next: 'npx zx scripts/env.ts --check' },
    )
  return JSON.parse(output.stdout) as ComposeConfig
}
