// The owner of the images that are built here, and of their source: one key of an example, and all
// YAML and JSON that must name the same owner.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findEnvFiles } from '../env/files.ts'
import { isOwnerName } from '../env/value-formats.ts'
import { Failure, exit } from '../errors.ts'
import { root as repository } from '../repository.ts'

/**
 * The registry of images without an owner: by RFC 2606 no host has such a name, so nobody
 * else's image is taken for one.
 */
export const unsetRegistry = 'unset.invalid'

export interface ImageOwner {
  key: string
  /** The example that has it. */
  file: string
  /** '' while none is set. */
  name: string
}

/** The key: the one whose format is `owner`. */
export function readImageOwner(root = repository): ImageOwner {
  const found = findEnvFiles(root).files.flatMap(({ example, entries }) =>
    entries
      .filter(({ format }) => format === 'owner')
      .map(({ key, value }) => ({ key, file: example, name: value })),
  )
  if (!found[0])
    throw new Failure(
      exit.usage,
      'Read who the owner is',
      'no .env.example has a key with format=owner',
    )
  return found[0]
}

/** Where an owner's images are. */
export const registryForOwner = (name: string): string => (name ? `ghcr.io/${name}` : unsetRegistry)

/** What a person does while there is no owner. */
export const setOwnerCommand = ({ key, file } = readImageOwner()): string =>
  `npx zx scripts/env.ts --owner NAME   (sets ${key} in ${file})`

/** Those images that have no owner. */
export const findOwnerlessImages = (images: string[]): string[] => [
  ...new Set(images.filter(image => image.startsWith(`${unsetRegistry}/`))),
]

/** Throws Failure (usage) when one of these images has no owner. */
export function requireOwner(what: string, images: string[]): void {
  const list = findOwnerlessImages(images)
  if (list.length)
    throw new Failure(exit.usage, what, `the owner of the images is not set: ${list.join(', ')}`, {
      next: setOwnerCommand(),
    })
}

const ownerPatterns: [pattern: RegExp, of: (name: string) => string][] = [
  // where images are: Compose, Kubernetes, Renovate; not upstream's images of GHCR
  [
    /(?<![\w./])(?<!\w-)(?:unset\.invalid|ghcr\.io\/(?!google\/)[\w-]+)(?=[/}\s"]|$)/gm,
    registryForOwner,
  ],
  // the repository that Renovate looks at
  [
    /(?<=": "https:\/\/)(?:unset\.invalid|github\.com\/[\w-]+)(?=\/[\w.-]+",?$)/gm,
    name => (name ? `github.com/${name}` : unsetRegistry),
  ],
]

/** All that names an owner in files that are read as they are: `file`, and what stands there. */
export function findNamedOwners(
  root = repository,
): { file: string; found: string; expected: (name: string) => string }[] {
  return listOwnerFiles(root).flatMap(file => {
    const text = readFileSync(join(root, file), 'utf8')
    return ownerPatterns.flatMap(([pattern, expected]) =>
      [...text.matchAll(pattern)].map(([found]) => ({ file, found, expected })),
    )
  })
}

/**
 * Writes the owner into his key and wherever else he must be named. Out: the files that were
 * changed. Throws Failure (usage) for no owner's name.
 */
export function writeOwner(name: string, root = repository): string[] {
  const { key, file: example } = readImageOwner(root)
  const what = `Set ${key}`
  const lower = name.toLowerCase()
  if (lower !== name)
    throw new Failure(
      exit.usage,
      what,
      'GHCR accepts only lower case, and GitHub ignores the case',
      { next: `npx zx scripts/env.ts --owner ${lower}` },
    )
  if (!isOwnerName(name))
    throw new Failure(
      exit.usage,
      what,
      'no owner on GitHub has such a name: letters, digits, and single - between them',
      { next: 'npx zx scripts/env.ts --help' },
    )
  return [...new Set([example, ...listOwnerFiles(root)])].filter(file => {
    const text = readFileSync(join(root, file), 'utf8')
    const own =
      file === example ? text.replace(new RegExp(`^${key}=.*$`, 'm'), `${key}=${name}`) : text
    const now = ownerPatterns.reduce((text, [pattern, of]) => text.replace(pattern, of(name)), own)
    if (now !== text) writeFileSync(join(root, file), now)
    return now !== text
  })
}

/**
 * The YAML, JSON and examples that say what runs, by their paths; env files are no part of the
 * repository.
 */
const listOwnerFiles = (root: string): string[] =>
  ['infra', '.github'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => /\.(ya?ml|json)$|\.env\.example$/.test(name))
      .map(name => join(folder, name)),
  )
