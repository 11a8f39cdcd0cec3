// Reads the pinned images from the files, asks their registries, and writes the digests.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { briefRetryDelaysSeconds, retryRegistry } from './registry/retry.ts'
import {
  judgePin,
  findPins,
  replaceDigests,
  type Pin,
  type PinLookup,
  type CheckedPin,
} from './pins.ts'
import { RegistryError } from './registry/errors.ts'
import { parseImage } from './reference.ts'
import { findImageDigest } from './registry/client.ts'
import { root } from '../repository.ts'

/**
 * The files under infra/ that pin images of other people: what is built here and what belongs to
 * the demo alone has no registry to ask.
 */
export function readPinFiles(folder = root): Map<string, string> {
  const names = readdirSync(join(folder, 'infra'), { recursive: true, encoding: 'utf8' })
    .map(name => join('infra', name))
    .sort()
  const pinning = names.filter(
    name =>
      /\.ya?ml$|(^|\/)Dockerfile[^/]*$|\.env\.example$/.test(name) &&
      !/\bdemo\b|node_modules|\.build\.yml$/.test(name),
  )
  return new Map(pinning.map(name => [name, readFileSync(join(folder, name), 'utf8')]))
}

/** The names of the images that are built here, by the defaults of the file that says how. */
function listBuiltImages(): string[] {
  const file = join(root, 'infra/docker/docker-compose.build.yml')
  const { services } = parse(readFileSync(file, 'utf8')) as {
    services: Record<string, { image: string }>
  }
  return Object.values(services).map(
    ({ image }) => parseImage(image.replace(/\$\{\w+:-([^}]*)\}/g, '$1')).name,
  )
}

/** What its registry has of a pin. */
async function lookUpPin({ image, places }: Pin): Promise<PinLookup> {
  try {
    const digest = await retryRegistry(image, () => findImageDigest(image), briefRetryDelaysSeconds)
    if (!digest) return 'gone'
    const old = places.find(place => place.digest && place.digest !== digest)?.digest
    return {
      digest,
      ...(old
        ? {
            oldIsThere: Boolean(
              await retryRegistry(
                image,
                () => findImageDigest(`${parseImage(image).name}@${old}`),
                briefRetryDelaysSeconds,
              ),
            ),
          }
        : {}),
    }
  } catch (error) {
    if (error instanceof RegistryError) return { unknown: error.message }
    throw error
  }
}

/**
 * Every pin, and whether it is what its registry has. A registry that does not answer is asked
 * once.
 */
export async function checkPins(files: Map<string, string>): Promise<CheckedPin[]> {
  const built = listBuiltImages()
  const pins = findPins(files).filter(({ image }) => !built.includes(parseImage(image).name))
  const silent = new Map<string, string>()
  const verdicts: CheckedPin[] = []
  for (const pin of pins) {
    const { host } = parseImage(pin.image)
    const seen = silent.has(host) ? { unknown: silent.get(host)! } : await lookUpPin(pin)
    if (
      typeof seen === 'object' &&
      'unknown' in seen &&
      /cannot be reached|does not answer/.test(seen.unknown)
    )
      silent.set(host, seen.unknown)
    verdicts.push(judgePin(pin, seen))
  }
  return verdicts
}

/** Writes the digests that differ, everywhere. Out: the files that it changed. */
export function writePins(files: Map<string, string>, verdicts: CheckedPin[]): string[] {
  const digests = new Map(
    verdicts.flatMap(({ image, state, digest }) =>
      digest && state !== 'good' ? [[image, digest] as const] : [],
    ),
  )
  const changed = [...files]
    .map(([name, text]) => ({ name, text, now: replaceDigests(name, text, digests) }))
    .filter(({ text, now }) => text !== now)
  for (const { name, now } of changed) writeFileSync(join(root, name), now)
  return changed.map(({ name }) => name)
}
