// The last commit that built, as far as the registry and the releases tell.
import { loadEnvironment, listEnvironments } from '../../kubernetes/environment.ts'
import { fetchReleases } from '../../kubernetes/releases.ts'
import { findOwnerlessImages } from '../owner.ts'
import { parseImage, registryHostOf } from '../reference.ts'
import { findUnreachableRegistries } from '../registry/client.ts'
import { listImageVersions } from '../registry-versions.ts'
import { waitAtMost } from '../../retry.ts'
import type { PlannedImage } from './tags.ts'

/** A commit, and who knows that images were built of it. */
export interface LastBuilt {
  commit: string
  known: string
}

/** An image of a commit, and when it came; what comes later in a list is older. */
type DatedCommits = { commit: string; created: string }[]

const isCommitTag = (tag: string) => /^[0-9a-f]{40}$/.test(tag)

/** The newest commit that all of these lists have, but for one. */
export const findNewestCommonCommit = (
  lists: DatedCommits[],
  but: string,
): DatedCommits[number] | undefined =>
  lists[0]
    ?.toSorted((a, b) => b.created.localeCompare(a.created))
    .find(
      ({ commit }) =>
        commit !== but && lists.every(list => list.some(one => one.commit === commit)),
    )

/**
 * The last commit of which all these images are, as the tags in their registry say, or where it
 * does not say, the releases. Undefined when neither knows, or none says so within half a minute:
 * it only helps, and never throws.
 */
export async function findLastBuilt(
  images: Pick<PlannedImage, 'name' | 'commit'>[],
): Promise<LastBuilt | undefined> {
  const but = images[0]?.commit ?? ''
  const names = images.map(({ name }) => name)
  if (findOwnerlessImages(names).length) return undefined
  const ask = async (seen: (name: string) => Promise<DatedCommits>) =>
    findNewestCommonCommit(
      await waitAtMost(30_000, Promise.all(names.map(seen))).then(lists => lists ?? []),
      but,
    )
  const asked = [
    async () => {
      if ((await findUnreachableRegistries(names)).length) return undefined
      const found = await ask(async name =>
        (await listImageVersions(name)).flatMap(({ tags, created }) =>
          tags.filter(isCommitTag).map(commit => ({ commit, created })),
        ),
      )
      return (
        found && {
          commit: found.commit,
          known: `${registryHostOf(names[0]!)} has ${found.created ? `it, of ${found.created.slice(0, 10)}` : 'it'}`,
        }
      )
    },
    async () => {
      const found = await ask(listReleasedCommits)
      return (
        found && {
          commit: found.commit,
          known: `a release of ${found.created.slice(0, 10)} runs it`,
        }
      )
    },
  ]
  for (const one of asked) {
    const found = await one().catch(() => undefined)
    if (found) return found
  }
  return undefined
}

/** The commits of an image that releases which succeeded name, in every environment that has it. */
async function listReleasedCommits(name: string): Promise<DatedCommits> {
  const found = listEnvironments()
    .map(loadEnvironment)
    .filter(({ images }) => images && name.startsWith(`${images}/`))
  const all = (await Promise.all(found.map(fetchReleases)))
    .flat()
    .filter(({ ending }) => ending === 'succeeded')
  return all.flatMap(({ images, started }) =>
    Object.keys(images)
      .map(image => parseImage(image))
      .flatMap(image =>
        image.name === name && image.tag && isCommitTag(image.tag)
          ? [{ commit: image.tag, created: started }]
          : [],
      ),
  )
}
