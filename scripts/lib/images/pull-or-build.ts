// Whether the images of a stack are on this machine; pulls or builds those that are missing.
import { bake } from './build/bake.ts'
import {
  listBuildTargets,
  readBuildVariables,
  readContextVariable,
  type BuildTarget,
} from './build/targets.ts'
import { planImage } from './build/build.ts'
import { explainBuildFailure } from './build/failure.ts'
import { describeCommitPins } from './pinned-commits.ts'
import { servicesOf } from '../compose/services.ts'
import { runCompose, type ComposeConfig, type Stack } from '../compose/stack.ts'
import { readEngineInfo, type EngineInfo } from '../engine/engine.ts'
import { Failure, exit } from '../errors.ts'
import { setOwnerCommand, findOwnerlessImages } from './owner.ts'
import { findPullFailure, type PullFailure } from '../engine/pull-failure.ts'
import { parseImage, registryHostOf } from './reference.ts'
import { findUnreachableRegistries } from './registry/client.ts'
import { color, say, step } from '../report.ts'
import { listApplications } from '../repository.ts'
import { run } from '../run.ts'

const what = 'Get the images'

/** The images of these services that the engine does not have. */
export async function findMissingImages(all: ComposeConfig, services: string[]): Promise<string[]> {
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

/** Why an image is not built although its source is here. */
type UnbuildableImages = Map<string, Failure>
const reasonsNotBuilt = (images: string[], unfit: UnbuildableImages): Failure[] =>
  images.flatMap(image => unfit.get(image) ?? [])

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

async function requireChosenCommits(
  stack: Stack,
  all: ComposeConfig,
  missing: string[],
  made: BuildTarget[],
): Promise<void> {
  const unset = missing.filter(image => image.endsWith(':unset'))
  if (!unset.length) return
  const sources = new Set(
    made
      .filter(({ image }) => unset.includes(image))
      .flatMap(({ name }) => readContextVariable(name) ?? []),
  )
  throw new Failure(exit.refused, what, `no commit is chosen for ${unset.join(', ')}`, {
    evidence: `Set ${describeCommitPins(unset)}${sources.size ? ` (and ${[...sources].join(', ')} in the .env beside it to build from a checkout)` : ''},
${findOwnerlessImages(unset).length ? `and the owner of the images: ${setOwnerCommand()},\n` : ''}or start the other applications alone.`,
    next: `make up APPS="${await applicationsWithout(stack, all, unset)}"`,
  })
}

/**
 * Whether the engine has a way of its own to registries, a proxy or mirrors: then it says nothing
 * that they do not answer here.
 */
export function hasProxyOrMirror(
  { HttpProxy, HttpsProxy, RegistryConfig }: EngineInfo,
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

function requireImageOwner(images: string[], unfit: UnbuildableImages): void {
  if (!images.length) return
  const evidence = [
    'Not on this machine:',
    ...images,
    ...describeNotBuilt(reasonsNotBuilt(images, unfit)),
  ].join('\n')
  throw new Failure(exit.refused, what, 'the owner of the images is not set', {
    evidence,
    next: setOwnerCommand(),
  })
}

async function requireReachableRegistries(
  missing: string[],
  unfit: UnbuildableImages,
): Promise<void> {
  const silent = await findUnreachableRegistries(missing)
  if (!silent.length || hasProxyOrMirror((await readEngineInfo()).info)) return
  const images = missing.filter(image => silent.includes(registryHostOf(image)))
  throw missingImagesFailure(
    `no answer from the registry ${silent.join(', ')}`,
    `Not on this machine:\n${images.join('\n')}`,
    reasonsNotBuilt(images, unfit),
  )
}

const describeNotBuilt = (no: Failure[]) => no.map(one => `Not built: ${one.what}: ${one.why}`)

/** `no`: why those are not built whose source is here. */
function missingImagesFailure(
  why: string,
  evidence: string,
  no: Failure[],
  next = 'make demo   (needs no image registry)',
): Failure {
  return new Failure(exit.refused, what, why, {
    evidence: [evidence, ...describeNotBuilt(no)].join('\n'),
    next: no.find(one => one.next)?.next ?? next,
  })
}

/** What to do about what a registry has said of an image. */
export function adviseOnPull(said: string, image: string): string {
  const { host } = parseImage(image)
  const login = `docker login${host.endsWith('docker.io') ? '' : ` ${host}`}`
  const advice: Partial<Record<PullFailure, string>> = {
    limit: `${login}   (pulls then count for the account, not for this address), or the same command in an hour`,
    disk: 'docker image prune --force',
    clock: 'timedatectl   (is the time right? If so the certificate of the registry has expired)',
    certificate: `put the certificate authority of ${host} into /etc/docker/certs.d/${host}/ca.crt`,
    unencrypted: `give ${host} a certificate, or name it in insecure-registries of /etc/docker/daemon.json`,
    proxy:
      'systemctl show docker --property Environment   (HTTP_PROXY and HTTPS_PROXY of the docker service, with its login)',
    name: `getent hosts ${host}   (the name, or DNS)`,
    registry: 'the same command again in a few minutes',
  }
  return advice[findPullFailure([said]).kind] ?? `${login}, or make demo`
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
  if (!still.length) return
  const evidence = output.stderr.trim().split('\n').slice(-10).join('\n')
  throw missingImagesFailure(
    `could not be pulled: ${still.join(', ')}`,
    evidence,
    reasonsNotBuilt(still, unfit),
    adviseOnPull(evidence, still[0] ?? ''),
  )
}

/** The folders whose services need none of these images. */
async function applicationsWithout(
  stack: Stack,
  all: ComposeConfig,
  unwanted: string[],
): Promise<string> {
  const folders = await Promise.all(
    listApplications().map(async folder => {
      const services = await servicesOf(stack, all, folder)
      return services.some(name => unwanted.includes(all.services[name]?.image ?? ''))
        ? []
        : [folder]
    }),
  )
  return folders.flat().join(' ')
}
