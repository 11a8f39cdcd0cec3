// Whether the images of a stack are here, or can be had.
import { bake, settings, targets, variableOf, type Target } from './bake.ts'
import { whereChosen } from './commit.ts'
import { compose, servicesOf, type Config, type Stack } from '../compose/compose.ts'
import { Failure, exit } from '../errors.ts'
import { registryOf, silentRegistries } from './registry.ts'
import { step } from '../report.ts'
import { applications } from '../repository.ts'
import { run } from '../run.ts'

const what = 'Have every image'

/** The images of these services that the engine does not have. */
export async function missingImages(all: Config, services: string[]): Promise<string[]> {
  const images = [...new Set(services.map(name => all.services[name]?.image ?? ''))]
  const present = await Promise.all(images.map(async image => (await run(['docker', 'image', 'inspect', image], { nothrow: true })).code === 0))
  return images.filter((_, i) => !present[i])
}

/**
 * Makes sure that every image is here: builds those whose source is on this machine (docker-compose.build.yml), pulls the rest.
 * Throws Failure (refused) naming the images, and the registries that do not answer, before anything is started.
 */
export async function provideImages(stack: Stack, all: Config, services: string[]): Promise<void> {
  const absent = await missingImages(all, services)
  if (!absent.length) return
  const env = settings(stack.suffix.slice(1))
  const made = (await targets(env)).filter(({ image }) => absent.includes(image))
  const sources = made.filter(({ here }) => here)
  const missing = absent.filter(image => !sources.some(source => source.image === image))
  await refuseUnset(stack, all, missing, made)
  await refuseSilentRegistries(missing)
  if (sources.length) await step(`Build ${sources.map(({ image }) => image).join(', ')}`, () => built(sources, env))
  if (missing.length) await step(`Pull ${missing.length} images`, () => pull(stack, all, services, missing))
}

/** As the build file says, into the engine's own store. */
async function built(sources: Target[], env: Record<string, string>): Promise<void> {
  const { code, stdout, stderr } = await bake(Object.fromEntries(sources.map(({ name }) => [name, { output: 'type=docker' }])), env)
  if (code === 0) return
  const evidence = `${stdout}\n${stderr}`.trim().split('\n').slice(-20).join('\n')
  throw new Failure(exit.refused, 'Build the images', `the build ended with ${code}`, { evidence, next: 'npx zx scripts/images.ts build' })
}

async function refuseUnset(stack: Stack, all: Config, missing: string[], made: Target[]): Promise<void> {
  const unset = missing.filter(image => image.endsWith(':unset'))
  if (!unset.length) return
  const sources = new Set(made.filter(({ image }) => unset.includes(image)).flatMap(({ name }) => variableOf(name) ?? []))
  throw new Failure(exit.refused, what, `no commit is chosen for ${unset.join(', ')}`, {
    evidence: `Set ${whereChosen(unset)}${sources.size ? ` (and ${[...sources].join(', ')} in the .env beside it to build from a checkout)` : ''},
or start the other applications alone.`,
    next: `make up APPS="${await others(stack, all, unset)}"`,
  })
}

async function refuseSilentRegistries(missing: string[]): Promise<void> {
  const silent = await silentRegistries(missing)
  if (!silent.length) return
  throw new Failure(exit.refused, what, `no answer from the registry ${silent.join(', ')}`, {
    evidence: `Not on this machine:\n${missing.filter(image => silent.includes(registryOf(image))).join('\n')}`,
    next: 'make demo   (needs no image registry)',
  })
}

async function pull(stack: Stack, all: Config, services: string[], missing: string[]): Promise<void> {
  const names = services.filter(name => missing.includes(all.services[name]?.image ?? ''))
  const output = await compose(stack, ['pull', '--quiet', ...names], { nothrow: true })
  const still = await missingImages(all, services)
  if (!still.length) return
  throw new Failure(exit.refused, what, `could not be pulled: ${still.join(', ')}`, {
    evidence: output.stderr.trim().split('\n').slice(-10).join('\n'),
    next: 'docker login ghcr.io, or make demo',
  })
}

/** The folders whose services need none of these images. */
async function others(stack: Stack, all: Config, unwanted: string[]): Promise<string> {
  const folders = await Promise.all(
    applications().map(async folder => {
      const services = await servicesOf(stack, all, folder)
      return services.some(name => unwanted.includes(all.services[name]?.image ?? '')) ? [] : [folder]
    }),
  )
  return folders.flat().join(' ')
}
