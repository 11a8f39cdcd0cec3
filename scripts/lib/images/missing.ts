// Finds the images that the engine does not have, and refuses those that cannot be had.
import { describeCommitPins } from './pinned-commits.ts'
import { setOwnerCommand, findOwnerlessImages } from './owner.ts'
import { parseImage, registryHostOf } from './reference.ts'
import { findUnreachableRegistries } from './registry/client.ts'
import { readContextVariable, type BuildTarget } from './build/targets.ts'
import { servicesOf } from '../compose/services.ts'
import type { ComposeConfig, Stack } from '../compose/stack.ts'
import { readEngineInfo, type EngineInfo } from '../engine/engine.ts'
import { findPullFailure, type PullFailure } from '../engine/pull-failure.ts'
import { Failure, exit } from '../errors.ts'
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

/** Why an image is not built although its source is here. */
export type UnbuildableImages = Map<string, Failure>

/** The reasons for those of these images of which one is known. */
export const reasonsNotBuilt = (images: string[], unfit: UnbuildableImages): Failure[] =>
  images.flatMap(image => unfit.get(image) ?? [])

/** Throws Failure (refused) for images whose commit is not chosen; `made`: what can be built here. */
export async function requireChosenCommits(
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

/** Throws Failure (refused) for `images`, which have no owner yet. */
export function requireImageOwner(images: string[], unfit: UnbuildableImages): void {
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

/**
 * Throws Failure (refused) for images of registries that do not answer, unless the engine has
 * another way to them.
 */
export async function requireReachableRegistries(
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

/** The error for images that are not here after a pull, by the last that Compose has said. */
export function pullFailure(stderr: string, images: string[], unfit: UnbuildableImages): Failure {
  const evidence = stderr.trim().split('\n').slice(-10).join('\n')
  return missingImagesFailure(
    `could not be pulled: ${images.join(', ')}`,
    evidence,
    reasonsNotBuilt(images, unfit),
    adviseOnPull(evidence, images[0] ?? ''),
  )
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
