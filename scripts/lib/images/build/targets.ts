// What docker-compose.build.yml can build, as it says itself.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { parse } from 'yaml'
import { defaultValue } from '../../env/example.ts'
import { findEnvFiles, loadEnvValues } from '../../env/files.ts'
import { Failure, exit } from '../../errors.ts'
import { dockerFolder, root } from '../../repository.ts'
import { run } from '../../run.ts'
import { lastLineOf } from '../../text.ts'
import { computeSchemaVersion } from './schema-version.ts'
import type { SourceCopy } from './source-copy.ts'

/** In infra/docker: what can be built from sources on this machine. */
export const buildFile = 'docker-compose.build.yml'

export interface BuildTarget {
  name: string
  /** As the file has it. */
  image: string
  context: string
  dockerfile: string
  /** Whether its Dockerfile is on this machine. */
  here: boolean
  /** A hash of how the file builds it. */
  recipe: string
  /** The checksum of the database's schema that it holds (`x-schema` of the file). */
  schema?: string
}

/**
 * The values that the file's variables have: the examples', over them the env files' that are
 * there, over all the process's own.
 */
export function readBuildVariables(name = ''): Record<string, string> {
  const entries = findEnvFiles(root, name)
    .files.toReversed()
    .flatMap(({ entries }) => entries)
  const values = (list: typeof entries) =>
    Object.fromEntries(list.map(entry => [entry.key, defaultValue(entry, name)]))
  const pinned = entries.filter(entry => entry.pinned && defaultValue(entry, name))
  // a Dockerfile of ours for a context that is not is named by its whole path
  return {
    ...values(entries),
    ...loadEnvValues(root, name, true),
    ...values(pinned),
    ...(process.env as Record<string, string>),
    PWD: dockerFolder,
  }
}

/** What the file can build, by its own words. */
export async function listBuildTargets(env = readBuildVariables()): Promise<BuildTarget[]> {
  if (!existsSync(join(dockerFolder, buildFile))) return []
  const output = await run(
    ['docker', 'compose', '--file', buildFile, 'config', '--format', 'json'],
    {
      cwd: dockerFolder,
      env,
      nothrow: true,
    },
  )
  if (output.code !== 0)
    throw new Failure(exit.usage, `Read infra/docker/${buildFile}`, lastLineOf(output.stderr))
  const { services } = JSON.parse(output.stdout) as {
    services: Record<string, { image: string; build: BuildDefinition }>
  }
  return Object.entries(services).map(([name, { image, build }]) => {
    const { 'x-copy': copy, 'x-schema': paths } = readServiceDefinition(name)
    const dockerfile = resolve(build.context, build.dockerfile ?? 'Dockerfile')
    const here = existsSync(build.context) && existsSync(dockerfile)
    const recipe = hashRecipe({ ...build, ...(copy ? { copy } : {}) })
    return {
      name,
      image,
      context: build.context,
      dockerfile,
      here,
      recipe,
      ...(here && paths ? { schema: computeSchemaVersion(build.context, paths) } : {}),
    }
  })
}

interface BuildDefinition {
  context: string
  dockerfile?: string
}

/**
 * A hash of how a target is built; the source's folder does not count, which differs by machine,
 * nor does that of a Dockerfile of ours, but what it says.
 */
export function hashRecipe({ context: _, ...how }: BuildDefinition): string {
  const own = isAbsolute(how.dockerfile ?? '')
    ? ['', '.dockerignore'].map(end => `${how.dockerfile}${end}`).filter(existsSync)
    : []
  const said = own.length
    ? { ...how, dockerfile: own.map(file => readFileSync(file, 'utf8')) }
    : how
  return createHash('sha256').update(JSON.stringify(said)).digest('hex').slice(0, 16)
}

/**
 * The targets of these names; without names those whose source is here. Throws Failure for a name
 * that is none, or has no source here.
 */
export function selectTargets(all: BuildTarget[], names: string[], command: string): BuildTarget[] {
  const what = `Choose what to ${command}`
  const unknown = names.filter(name => !all.some(one => one.name === name))
  if (unknown.length)
    throw new Failure(exit.usage, what, `infra/docker/${buildFile} has no ${unknown.join(', ')}`, {
      next: `one of: ${all.map(({ name }) => name).join(', ')}`,
    })
  const named = names.length
    ? all.filter(({ name }) => names.includes(name))
    : all.filter(({ here }) => here)
  const absent = (named.length ? named : all).find(({ here }) => !here)
  if (absent)
    throw new Failure(exit.refused, what, `the source of ${absent.name} is not on this machine`, {
      next: sourceCommand(absent, command),
    })
  return named
}

/**
 * The command that brings a target's source: a submodule, or the variable that its context is made
 * of.
 */
function sourceCommand({ name, context }: BuildTarget, command: string): string {
  const path = relative(root, context)
  const modules = join(root, '.gitmodules')
  if (existsSync(modules) && readFileSync(modules, 'utf8').includes(`path = ${path}\n`))
    return `git submodule update --init --depth 1 ${path}`
  const variable = readContextVariable(name)
  return variable
    ? `${variable}=<its checkout> npx zx scripts/images.ts ${command} ${name}`
    : `put it to ${path}`
}

/**
 * A source that must not be built (`x-refused` of the file), with why and the command that brings a
 * better one.
 */
export interface RefusedSource {
  commit: string
  because: string
  next: string
}

interface ServiceDefinition {
  build: { context: string }
  'x-refused'?: RefusedSource
  'x-copy'?: SourceCopy
  /** The files of its context that say what a database's schema is. */
  'x-schema'?: string[]
  /** The variable that puts its image in the place of the released one. */
  'x-variable'?: string
}

/** A target as it stands in the file: Compose leaves out what is ours. */
export function readServiceDefinition(name: string): ServiceDefinition {
  const { services } = parse(readFileSync(join(dockerFolder, buildFile), 'utf8')) as {
    services: Record<string, ServiceDefinition>
  }
  return services[name]!
}

/** What the file says of a target's source. */
export const readRefusedSource = (name: string): RefusedSource | undefined =>
  readServiceDefinition(name)['x-refused']

/** The variable that puts a target's image in the place of the released one, if any. */
export const readImageVariable = (name: string): string | undefined =>
  readServiceDefinition(name)['x-variable']

/** The variable that a target's context is made of, if any. */
export const readContextVariable = (name: string): string | undefined =>
  /\$\{(\w+)/.exec(readServiceDefinition(name).build.context)?.[1]
