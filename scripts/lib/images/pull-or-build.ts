// Whether the images of a stack are on this machine; pulls or builds those that are missing.
import { bake } from './build/bake.ts'
import { listBuildTargets, readBuildVariables, type BuildTarget } from './build/targets.ts'
import { planImage } from './build/build.ts'
import { explainBuildFailure } from './build/failure.ts'
import {
  findMissingImages,
  pullFailure,
  reasonsNotBuilt,
  requireChosenCommits,
  requireImageOwner,
  requireReachableRegistries,
  type UnbuildableImages,
} from './missing.ts'
import { findOwnerlessImages } from './owner.ts'
import { parseImage } from './reference.ts'
import { runCompose, type ComposeConfig, type Stack } from '../compose/stack.ts'
import { Failure, exit } from '../errors.ts'
import { color, say, step } from '../report.ts'

/**
 * Makes sure that every image is here: builds those whose source is on this machine
 * (docker-compose.build.yml) and is what their tag says, pulls the rest. Throws Failure (refused)
 * naming the images, and the registries that do not answer, before anything is started.
 */
export async function pullOrBuildImages(
  stack: Stack,
  all: ComposeConfig,
  services: string[],
): Promise<void> {
  const absent = await findMissingImages(all, services)
  if (!absent.length) return
  const env = readBuildVariables(stack.suffix.slice(1))
  const made = (await listBuildTargets(env)).filter(({ image }) => absent.includes(image))
  const { sources, unfit } = await selectBuildableSources(made.filter(({ here }) => here))
  const missing = absent.filter(image => !sources.some(source => source.image === image))
  await requireChosenCommits(stack, all, missing, made)
  requireImageOwner(findOwnerlessImages(missing), unfit)
  await requireReachableRegistries(missing, unfit)
  for (const { what, why } of reasonsNotBuilt(missing, unfit))
    say(color.yellow(`  ${what}: ${why}; pulled instead of built`))
  if (sources.length)
    await step(`Build ${sources.map(({ image }) => image).join(', ')}`, () =>
      buildSources(sources, env),
    )
  if (missing.length)
    await step(`Pull ${missing.length} images`, () =>
      pullImages(stack, all, services, missing, unfit),
    )
}

/**
 * The targets whose source may bear their image's name, by the rules for a push: what has it now
 * keeps it.
 */
async function selectBuildableSources(
  made: BuildTarget[],
): Promise<{ sources: BuildTarget[]; unfit: UnbuildableImages }> {
  const unfit: UnbuildableImages = new Map()
  const judged = made.map(async target => {
    try {
      await planImage(target, { type: '', name: '' })
      return [target]
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      unfit.set(target.image, error)
      return []
    }
  })
  return { sources: (await Promise.all(judged)).flat(), unfit }
}

/** As the build file says, into the engine's own store. */
async function buildSources(sources: BuildTarget[], env: Record<string, string>): Promise<void> {
  const { code, stdout, stderr } = await bake(
    Object.fromEntries(sources.map(({ name }) => [name, { output: 'type=docker' }])),
    env,
  )
  if (code === 0) return
  const tried = sources.map(({ name, image }) => ({
    target: name,
    name: parseImage(image).name,
    commit: parseImage(image).tag ?? '',
  }))
  throw await explainBuildFailure(tried, `${stdout}\n${stderr}`.trim(), exit.refused)
}

async function pullImages(
  stack: Stack,
  all: ComposeConfig,
  services: string[],
  missing: string[],
  unfit: UnbuildableImages,
): Promise<void> {
  const names = services.filter(name => missing.includes(all.services[name]?.image ?? ''))
  const output = await runCompose(stack, ['pull', '--quiet', ...names], { nothrow: true })
  const still = await findMissingImages(all, services)
  if (still.length) throw pullFailure(output.stderr, still, unfit)
}
