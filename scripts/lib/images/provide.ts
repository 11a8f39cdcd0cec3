// Whether the images of a stack are here, and how they are had.
import { bake, settings, targets, variableOf, type Target } from './bake.ts'
import { planImage } from './build.ts'
import { explained } from './build-failure.ts'
import { whereChosen } from './chosen-commit.ts'
import { compose, servicesOf, type Config, type Stack } from '../compose/compose.ts'
import { info, type Info } from '../engine/engine.ts'
import { Failure, exit } from '../errors.ts'
import { howToSet, nobodys } from './owner.ts'
import { parseImage, registryOf, silentRegistries } from './registry.ts'
import { color, say, step } from '../report.ts'
import { applications } from '../repository.ts'
import { run } from '../run.ts'

const what = 'Have every image'

/** The images of these services that the engine does not have. */
export async function missingImages(all: Config, services: string[]): Promise<string[]> {
  const images = [...new Set(services.map(name => all.services[name]?.image ?? ''))]
  const present = await Promise.all(
    images.map(
      async image =>
        (await run(['docker', 'image', 'inspect', image], { nothrow: true })).code === 0,
    ),
  )
  return images.filter((_, i) => !present[i])
}

/**
 * Makes sure that every image is here: builds those whose source is on this machine (docker-compose.build.yml) and is what their tag says,
 * pulls the rest. Throws Failure (refused) naming the images, and the registries that do not answer, before anything is started.
 */
export async function provideImages(stack: Stack, all: Config, services: string[]): Promise<void> {
  const absent = await missingImages(all, services)
  if (!absent.length) return
  const env = settings(stack.suffix.slice(1))
  const made = (await targets(env)).filter(({ image }) => absent.includes(image))
  const { sources, unfit } = await judgeSources(made.filter(({ here }) => here))
  const missing = absent.filter(image => !sources.some(source => source.image === image))
  await refuseUnset(stack, all, missing, made)
  refuseOwnerless(nobodys(missing), unfit)
  await refuseSilentRegistries(missing, unfit)
  for (const { what, why } of reasons(missing, unfit))
    say(color.yellow(`  ${what}: ${why}; not built but pulled`))
  if (sources.length)
    await step(`Build ${sources.map(({ image }) => image).join(', ')}`, () => built(sources, env))
  if (missing.length)
    await step(`Pull ${missing.length} images`, () => pull(stack, all, services, missing, unfit))
}

/** Why an image is not built although its source is here. */
type Unfit = Map<string, Failure>
const reasons = (images: string[], unfit: Unfit): Failure[] =>
  images.flatMap(image => unfit.get(image) ?? [])

/** The targets whose source may bear their image's name, by the rules for a push: what has it now keeps it. */
async function judgeSources(made: Target[]): Promise<{ sources: Target[]; unfit: Unfit }> {
  const unfit: Unfit = new Map()
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
async function built(sources: Target[], env: Record<string, string>): Promise<void> {
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
  throw await explained(tried, `${stdout}\n${stderr}`.trim(), exit.refused)
}

async function refuseUnset(
  stack: Stack,
  all: Config,
  missing: string[],
  made: Target[],
): Promise<void> {
  const unset = missing.filter(image => image.endsWith(':unset'))
  if (!unset.length) return
  const sources = new Set(
    made.filter(({ image }) => unset.includes(image)).flatMap(({ name }) => variableOf(name) ?? []),
  )
  throw new Failure(exit.refused, what, `no commit is chosen for ${unset.join(', ')}`, {
    evidence: `Set ${whereChosen(unset)}${sources.size ? ` (and ${[...sources].join(', ')} in the .env beside it to build from a checkout)` : ''},
${nobodys(unset).length ? `and whose they are: ${howToSet()},\n` : ''}or start the other applications alone.`,
    next: `make up APPS="${await others(stack, all, unset)}"`,
  })
}

/** Whether the engine has a way of its own to registries, a proxy or mirrors: then it says nothing that they do not answer here. */
export function ownWay(
  { HttpProxy, HttpsProxy, RegistryConfig }: Info,
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  const proxies = [
    HttpProxy,
    HttpsProxy,
    env.HTTP_PROXY,
    env.HTTPS_PROXY,
    env.http_proxy,
    env.https_proxy,
  ]
  const mirrors = [RegistryConfig, ...Object.values(RegistryConfig?.IndexConfigs ?? {})].flatMap(
    one => one?.Mirrors ?? [],
  )
  return [...proxies, ...mirrors].some(Boolean)
}

function refuseOwnerless(images: string[], unfit: Unfit): void {
  if (!images.length) return
  const evidence = ['Not on this machine:', ...images, ...notBuilt(reasons(images, unfit))].join(
    '\n',
  )
  throw new Failure(exit.refused, what, 'whose they are is not set', { evidence, next: howToSet() })
}

async function refuseSilentRegistries(missing: string[], unfit: Unfit): Promise<void> {
  const silent = await silentRegistries(missing)
  if (!silent.length || ownWay((await info()).info)) return
  const images = missing.filter(image => silent.includes(registryOf(image)))
  throw cannotBeHad(
    `no answer from the registry ${silent.join(', ')}`,
    `Not on this machine:\n${images.join('\n')}`,
    reasons(images, unfit),
  )
}

const notBuilt = (no: Failure[]) => no.map(one => `Not built: ${one.what}: ${one.why}`)

/** `no`: why those are not built whose source is here. */
function cannotBeHad(
  why: string,
  evidence: string,
  no: Failure[],
  next = 'make demo   (needs no image registry)',
): Failure {
  return new Failure(exit.refused, what, why, {
    evidence: [evidence, ...notBuilt(no)].join('\n'),
    next: no.find(one => one.next)?.next ?? next,
  })
}

async function pull(
  stack: Stack,
  all: Config,
  services: string[],
  missing: string[],
  unfit: Unfit,
): Promise<void> {
  const names = services.filter(name => missing.includes(all.services[name]?.image ?? ''))
  const output = await compose(stack, ['pull', '--quiet', ...names], { nothrow: true })
  const still = await missingImages(all, services)
  if (!still.length) return
  const evidence = output.stderr.trim().split('\n').slice(-10).join('\n')
  throw cannotBeHad(
    `could not be pulled: ${still.join(', ')}`,
    evidence,
    reasons(still, unfit),
    'docker login ghcr.io, or make demo',
  )
}

/** The folders whose services need none of these images. */
async function others(stack: Stack, all: Config, unwanted: string[]): Promise<string> {
  const folders = await Promise.all(
    applications().map(async folder => {
      const services = await servicesOf(stack, all, folder)
      return services.some(name => unwanted.includes(all.services[name]?.image ?? ''))
        ? []
        : [folder]
    }),
  )
  return folders.flat().join(' ')
}
