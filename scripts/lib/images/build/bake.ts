// What docker-compose.build.yml builds, and `docker buildx bake`, which builds it.
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { parse } from 'yaml'
import { findEnvFiles, loadEnvValues } from '../../env/files.ts'
import { Failure, exit } from '../../errors.ts'
import { defaultValue } from '../../env/example.ts'
import { copySource, type SourceCopy } from './source-copy.ts'
import { dockerFolder, root } from '../../repository.ts'
import { run } from '../../run.ts'
import { computeSchemaVersion } from './schema-version.ts'
import { lastLineOf } from '../../text.ts'

const buildFile = 'docker-compose.build.yml'

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
 * Sets the files' times apart where two have the same size and time, which a checkout makes:
 * BuildKit takes the one for the other, and builds the wrong image without a word
 * (https://github.com/moby/buildkit/issues/1368, https://github.com/moby/buildkit/issues/4817).
 */
export function makeFileTimesUnique(files: string[]): void {
  const seen = new Set<string>()
  const key = (file: string) =>
    (({ size, mtimeNs }) => `${size} ${mtimeNs}`)(statSync(file, { bigint: true }))
  for (const file of files) {
    while (seen.has(key(file))) utimesSync(file, new Date(), new Date(statSync(file).mtimeMs + 10))
    seen.add(key(file))
  }
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
function readServiceDefinition(name: string): ServiceDefinition {
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

export interface Builder {
  /**
   * Images come into the engine's own store and are pushed from there; otherwise the builder pushes
   * them.
   */
  usesEngineStore: boolean
  /** Whether it can say in the image of what it was made (SBOM, provenance). */
  attests: boolean
}

/** What the current builder can do. */
export async function inspectBuilder(): Promise<Builder> {
  const [inspect, info] = await Promise.all([
    run(['docker', 'buildx', 'inspect'], { nothrow: true, timeout: 30_000 }),
    run(['docker', 'info', '--format', '{{json .DriverStatus}}'], {
      nothrow: true,
      timeout: 30_000,
    }),
  ])
  if (inspect.code !== 0)
    throw new Failure(exit.refused, 'Ask the builder', lastLineOf(inspect.stderr) || 'no answer', {
      next: 'npx zx scripts/bootstrap.ts',
    })
  const engine = /^Driver:\s+docker$/m.test(inspect.stdout)
  return {
    usesEngineStore: engine,
    attests: !engine || info.stdout.includes('io.containerd.snapshotter'),
  }
}

/** Overrides of a target: `tags`, `labels.x`, `output` …; a list sets each. */
export type TargetOverrides = Record<string, string | string[]>

/** Builds targets. Out: what the builder says of each, by its name. */
export async function bake(
  names: Record<string, TargetOverrides>,
  env: Record<string, string>,
  options: string[] = [],
  onOutput?: (text: string) => void,
) {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-bake-'))
  const metadata = join(folder, 'metadata.json')
  const sources = (await listBuildTargets(env)).filter(({ here }) => here)
  makeFileTimesUnique([...new Set(sources.map(({ dockerfile }) => dockerfile))])
  try {
    const contexts = await copyTargetSources(
      sources.filter(({ name }) => names[name]),
      folder,
    )
    const sets = Object.entries(names).flatMap(([name, overrides]) =>
      Object.entries({ ...overrides, ...contexts[name] }).flatMap(([key, value]) =>
        [value].flat().flatMap(one => ['--set', `${name}.${key}=${one}`]),
      ),
    )
    const argv = [
      'docker',
      'buildx',
      'bake',
      '--file',
      buildFile,
      '--progress',
      'plain',
      '--metadata-file',
      metadata,
      ...options,
      ...sets,
      ...Object.keys(names),
    ]
    // sources lie outside of this folder, which newer builders ask about
    const output = await run(argv, {
      cwd: dockerFolder,
      env: { ...env, BUILDX_BAKE_ENTITLEMENTS_FS: '0' },
      nothrow: true,
      ...(onOutput ? { onOutput } : {}),
    })
    const said = output.code === 0 && existsSync(metadata) ? readFileSync(metadata, 'utf8') : '{}'
    return { ...output, metadata: JSON.parse(said) as Record<string, Record<string, string>> }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Copies the sources that are not built where they are. Out: the context of each, by its target.
 */
async function copyTargetSources(
  sources: BuildTarget[],
  folder: string,
): Promise<Record<string, TargetOverrides>> {
  const wanted = sources.flatMap(({ name, context }) =>
    (({ 'x-copy': copy }) => (copy ? [{ name, context, copy }] : []))(readServiceDefinition(name)),
  )
  const made = wanted.map(
    async ({ name, context, copy }) =>
      [name, { context: await copySource(context, copy, join(folder, name)) }] as const,
  )
  return Object.fromEntries(await Promise.all(made))
}
