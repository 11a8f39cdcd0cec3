// Whether the images of a stack are here, or can be had.
import fetch from 'node-fetch'
import { Failure, exit } from './errors.ts'
import { run } from './run.ts'
import { compose, type Config, type Stack } from './compose.ts'

/** The registry's host of an image reference: `traefik:v3` is on Docker Hub. */
export function registryOf(image: string): string {
  const first = image.split('/')[0] ?? ''
  return image.includes('/') && /[.:]|^localhost$/.test(first) ? first : 'registry-1.docker.io'
}

/** The images of these services that the engine does not have. */
export async function missingImages(all: Config, services: string[]): Promise<string[]> {
  const images = [...new Set(services.map(name => all.services[name]?.image ?? ''))]
  const present = await Promise.all(images.map(async image => (await run(['docker', 'image', 'inspect', image], { nothrow: true })).code === 0))
  return images.filter((_, i) => !present[i])
}

/** Whether a registry answers at all within `timeout` ms; a refusal to anonymous callers is an answer. */
export async function registryAnswers(host: string, timeout = 8_000): Promise<boolean> {
  const scheme = /^(localhost|127\.)/.test(host) ? 'http' : 'https'
  try {
    await fetch(`${scheme}://${host}/v2/`, { signal: AbortSignal.timeout(timeout), redirect: 'manual' })
    return true
  } catch {
    return false
  }
}

/**
 * Makes sure that every image is here, pulling what is missing. Throws Failure (refused) naming the images, and the registries
 * that do not answer, before anything is started.
 */
export async function provideImages(stack: Stack, all: Config, services: string[], say: (text: string) => void): Promise<void> {
  const missing = await missingImages(all, services)
  if (!missing.length) return
  const what = 'Have every image'
  const unset = missing.filter(image => image.endsWith(':unset'))
  if (unset.length)
    throw new Failure(exit.refused, what, `no commit is chosen for ${unset.join(', ')}`, {
      evidence: 'Set KGC_REF in infra/docker/kgc/.env.example (and KGC_SOURCE to build from a checkout), or start the other applications alone.',
      next: `make up APPS="${others(all, unset)}"`,
    })
  const hosts = [...new Set(missing.map(registryOf))]
  const silent = (await Promise.all(hosts.map(async host => ((await registryAnswers(host)) ? '' : host)))).filter(Boolean)
  if (silent.length)
    throw new Failure(exit.refused, what, `no answer from the registry ${silent.join(', ')}`, {
      evidence: `Not on this machine:\n${missing.filter(image => silent.includes(registryOf(image))).join('\n')}`,
      next: 'make demo   (needs no image registry)',
    })
  say(`  pulling ${missing.length} images: ${missing.join(', ')}`)
  const names = services.filter(name => missing.includes(all.services[name]?.image ?? ''))
  const pull = await compose(stack, ['pull', '--quiet', ...names], { nothrow: true })
  const still = await missingImages(all, services)
  if (still.length)
    throw new Failure(exit.refused, what, `could not be pulled: ${still.join(', ')}`, { evidence: pull.stderr.trim().split('\n').slice(-10).join('\n'), next: 'docker login ghcr.io, or make demo' })
}

/** Folders whose services need none of these images. */
function others(all: Config, unwanted: string[]): string {
  const isolated = (name: string) => Object.keys(all.services[name]?.networks ?? {}).find(key => key.endsWith('-internal')) ?? ''
  const bad = new Set(Object.keys(all.services).filter(name => unwanted.includes(all.services[name]?.image ?? '')).map(isolated))
  return Object.keys(all.services).filter(name => !bad.has(isolated(name)) && all.services[name]?.labels?.['traefik.enable']).concat('traefik').join(' ')
}
