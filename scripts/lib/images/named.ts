// Which digests the releases of the environments name.
import { Failure } from '../errors.ts'
import { placeOf, places, type Place } from '../cluster/place.ts'
import { releases } from '../deploy/release.ts'

export interface Named {
  /** By digest, the releases: `staging 12`. */
  by: Map<string, string[]>
  /** The environments that have their images there. */
  environments: string[]
  /** Those whose releases could not be read, and why. */
  unread: { environment: string; why: string }[]
}

/** Asks every environment that has its images where these are. */
export async function namedByReleases(images: string[]): Promise<Named> {
  const here = (place: Place) =>
    images.some(image => place.images !== undefined && image.startsWith(`${place.images}/`))
  const found = places().map(placeOf).filter(here)
  const named: Named = { by: new Map(), environments: found.map(({ name }) => name), unread: [] }
  for (const place of found) {
    try {
      for (const release of await releases(place))
        for (const digest of Object.values(release.images).filter(Boolean))
          named.by.set(digest, [...(named.by.get(digest) ?? []), `${place.name} ${release.number}`])
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      named.unread.push({ environment: place.name, why: error.why })
    }
  }
  return named
}
