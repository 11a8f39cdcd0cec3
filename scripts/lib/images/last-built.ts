// The last commit that built, as far as anybody knows.
import { placeOf, places } from '../cluster/place.ts'
import { releases } from '../deploy/release.ts'
import { nobodys } from './owner.ts'
import { parseImage, registryOf, silentRegistries } from './registry.ts'
import { versionsOf } from './stock-ask.ts'
import type { Planned } from './tags.ts'

/** A commit, and who knows that images were built of it. */
export interface LastBuilt {
  commit: string
  known: string
}

/** An image of a commit, and when it came; what comes later in a list is older. */
type Seen = { commit: string; created: string }[]

const isCommit = (tag: string) => /^[0-9a-f]{40}$/.test(tag)
const within = <T>(ms: number, work: Promise<T>): Promise<T | undefined> =>
  Promise.race([work, new Promise<undefined>(done => setTimeout(done, ms, undefined).unref())])

/** The newest commit that all of these lists have, but for one. */
export const newestOfAll = (lists: Seen[], but: string): Seen[number] | undefined =>
  lists[0]
    ?.toSorted((a, b) => b.created.localeCompare(a.created))
    .find(
      ({ commit }) =>
        commit !== but && lists.every(list => list.some(one => one.commit === commit)),
    )

/**
 * The last commit of which all these images are, as the tags in their registry say, or where it does not say, the releases. Undefined when neither
 * knows, or none says so within half a minute: it only helps, and never throws.
 */
export async function lastBuilt(
  images: Pick<Planned, 'name' | 'commit'>[],
): Promise<LastBuilt | undefined> {
  const but = images[0]?.commit ?? ''
  const names = images.map(({ name }) => name)
  if (nobodys(names).length) return undefined
  const ask = async (seen: (name: string) => Promise<Seen>) =>
    newestOfAll(await within(30_000, Promise.all(names.map(seen))).then(lists => lists ?? []), but)
  const asked = [
    async () => {
      if ((await silentRegistries(names)).length) return undefined
      const found = await ask(async name =>
        (await versionsOf(name)).flatMap(({ tags, created }) =>
          tags.filter(isCommit).map(commit => ({ commit, created })),
        ),
      )
      return (
        found && {
          commit: found.commit,
          known: `${registryOf(names[0]!)} has ${found.created ? `it, of ${found.created.slice(0, 10)}` : 'it'}`,
        }
      )
    },
    async () => {
      const found = await ask(released)
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
async function released(name: string): Promise<Seen> {
  const found = places()
    .map(placeOf)
    .filter(({ images }) => images && name.startsWith(`${images}/`))
  const all = (await Promise.all(found.map(releases)))
    .flat()
    .filter(({ ending }) => ending === 'succeeded')
  return all.flatMap(({ images, started }) =>
    Object.keys(images)
      .map(image => parseImage(image))
      .flatMap(image =>
        image.name === name && image.tag && isCommit(image.tag)
          ? [{ commit: image.tag, created: started }]
          : [],
      ),
  )
}
