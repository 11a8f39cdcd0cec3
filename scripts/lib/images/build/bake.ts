// `docker buildx bake`, which builds the targets.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure, exit } from '../../errors.ts'
import { dockerFolder } from '../../repository.ts'
import { run } from '../../run.ts'
import { lastLineOf } from '../../text.ts'
import { copySource } from './source-copy.ts'
import { buildFile, listBuildTargets, readServiceDefinition, type BuildTarget } from './targets.ts'

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
