// Which images a change deploys: the tags of images that are built from a commit, and the digest of
// each.
import type { CommitImage } from '../../images/commit-images.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { PreflightProblems } from './problems.ts'
import { briefRetryDelaysSeconds, retryRegistry } from '../../images/registry/retry.ts'
import { setOwnerCommand, findOwnerlessImages } from '../../images/owner.ts'
import { parseImage } from '../../images/reference.ts'
import { fetchImageDigest } from '../../images/registry/client.ts'
import type { StoredRelease } from '../../kubernetes/releases.ts'
import { listWorkloadImages, replaceImages, replaceImageTags } from '../apply/checksums.ts'

/**
 * A deploy's manifests before they are stamped. The images that are built of a commit take `tag`;
 * without one, where the overlay names none, the commit that is pinned, and where none is, they
 * stay as they serve.
 */
export function applyImageTags(
  environment: Environment,
  all: Manifest[],
  own: CommitImage[],
  tag: string | undefined,
  last: StoredRelease | undefined,
  refusals: PreflightProblems,
): Manifest[] {
  const { images, folder } = environment
  const whole = ({ name }: CommitImage) => `${images}/${name}`
  if (tag && !images)
    refusals.add(
      `--tag ${tag} applies to no image: name their registry (images: in ${folder}/environment.yaml), or leave --tag out`,
    )
  if (tag) return replaceImageTags(all, images ? own.map(whole) : [], tag)
  const serving = listWorkloadImages(last?.manifests ?? [])
  const missing = new Set<string>()
  const result = replaceImages(all, old => {
    const image = parseImage(old)
    if (image.tag !== 'unset') return old
    const pin = own.find(one => whole(one) === image.name)
    if (pin?.commit) return `${image.name}:${pin.commit}`
    const now = serving.find(one => parseImage(one).name === image.name)
    if (!now) missing.add(image.name)
    return now ?? old
  })
  const pins = [...new Set(own.map(({ key, file }) => `, or ${key} in ${file}`))].join('')
  if (missing.size)
    refusals.add(
      `no release records which commit of ${[...missing].join(', ')} serves: give --tag SHA${pins}`,
    )
  return result
}

/**
 * The digest of every image of `all`; `missing` hears of those of the `last` release that are not
 * there any more.
 */
export async function resolveImageDigests(
  all: Manifest[],
  last: StoredRelease | undefined,
  refusals: PreflightProblems,
  missing: (words: string) => void,
): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  const ownerless = findOwnerlessImages(listWorkloadImages(all))
  if (ownerless.length)
    refusals.add(
      `the owner of the images is not set, for example of ${ownerless[0]}: ${setOwnerCommand()}`,
    )
  const now = listWorkloadImages(all).filter(image => !ownerless.includes(image))
  const ask = (image: string, words: string, add: (words: string) => void) =>
    retryRegistry(image, () => fetchImageDigest(image), briefRetryDelaysSeconds, 5).catch(
      (error: Error) => add(`${words} ${image}: ${error.message}`),
    )
  const old = listWorkloadImages(last?.manifests.filter(({ kind }) => kind !== 'Job') ?? []).filter(
    image => !now.includes(image),
  )
  const take = async (image: string) => {
    const digest = await ask(image, 'the image', words => refusals.add(words))
    if (digest) digests.set(image, digest)
  }
  await Promise.all([
    ...now.map(take),
    ...old.map(image =>
      ask(image, `the image of release ${last?.number}, needed to roll back,`, missing),
    ),
  ])
  return digests
}
