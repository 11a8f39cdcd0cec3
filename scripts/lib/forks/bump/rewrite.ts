// Moves everything in this repository that names a fork's release: image pins, other mentions, what
// was seen.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument } from 'yaml'
import { Failure, exit } from '../../errors.ts'
import { readPinFiles } from '../../images/pins-check.ts'
import { replacePins } from '../../images/pins.ts'
import { retryRegistry } from '../../images/registry/retry.ts'
import { RegistryError } from '../../images/registry/errors.ts'
import { findImageDigest } from '../../images/registry/client.ts'
import { fillVersion, type Fork } from '../definition.ts'
import type { ReleaseTag } from '../upstream-tags.ts'

/** The image of a release as it is pinned: with its digest where a registry says it. */
export interface ReleasedImage {
  image: string
  /** '' when no registry said it. */
  digest: string
  /** Why there is no digest. */
  why: string
}

/** Asks the image's registry. Throws Failure (refused) when it answers that there is no such image. */
export async function lookUpReleasedImage(fork: Fork, version: string): Promise<ReleasedImage> {
  const image = fillVersion(fork.released, version)
  try {
    const digest = await retryRegistry(image, () => findImageDigest(image), [])
    if (digest) return { image, digest, why: '' }
  } catch (error) {
    if (error instanceof RegistryError) return { image, digest: '', why: error.message }
    throw error
  }
  throw new Failure(exit.refused, `Look for ${image}`, 'its registry has no such image', {
    next: 'wait until upstream has published it, or bump to another release',
  })
}

/**
 * Writes the release into the copy of this repository in `folder`. Out: the files that changed.
 * Throws Failure (usage) for a mention that is not where fork.yaml says.
 */
export function rewriteRelease(
  folder: string,
  fork: Fork,
  from: string,
  release: ReleaseTag,
  released: ReleasedImage,
): string[] {
  const texts = new Map<string, string>()
  const read = (file: string) => texts.get(file) ?? readFileSync(join(folder, file), 'utf8')
  const old = fillVersion(fork.released, from)
  const next = released.digest ? `${released.image}@${released.digest}` : released.image
  // the same image keeps its digest where no registry says another
  const moves = old !== released.image || released.digest
  for (const [file, text] of readPinFiles(folder))
    texts.set(
      file,
      replacePins(file, text, image => (image === old && moves ? next : undefined)),
    )
  for (const { file, text } of fork.mentions)
    texts.set(file, replaceMention(file, read(file), text, from, release.version))
  texts.set(fork.file, addSeenTag(read(fork.file), release))
  return [...texts].flatMap(([file, text]) => {
    if (readFileSync(join(folder, file), 'utf8') === text) return []
    writeFileSync(join(folder, file), text)
    return [file]
  })
}

function replaceMention(
  file: string,
  text: string,
  pattern: string,
  from: string,
  to: string,
): string {
  const old = fillVersion(pattern, from)
  if (!text.includes(old))
    throw new Failure(exit.usage, `Write ${to} into ${file}`, `it does not have "${old}"`, {
      next: 'correct `mentions` in fork.yaml, or the file',
    })
  return text.replaceAll(old, fillVersion(pattern, to))
}

function addSeenTag(text: string, { name, commit }: ReleaseTag): string {
  const document = parseDocument(text)
  document.setIn(['seen', name], commit)
  return document.toString({ lineWidth: 0 })
}
