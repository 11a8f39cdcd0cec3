// Which digests the releases of the environments name.
import { placeOf, places, type Place } from './cluster.ts'
import { Failure } from './errors.ts'
import { parseImage } from './registry.ts'
import { releases } from './release.ts'

export interface Named {
  /** By digest, the releases: `staging 12`. */
  by: Map<string, string[]>
  /** The environments whose releases could not be read, and why. */
  unread: { environment: string; why: string }[]
}

/** Asks every environment that has its images where these are. */
export async function namedByReleases(images: string[]): Promise<Named> {
  const here = (place: Place) => images.some(image => place.images !== undefined && image.startsWith(`${place.images}/`))
  const named: Named = { by: new Map(), unread: [] }
  for (const place of places().map(placeOf).filter(here)) {
    try {
      for (const release of await releases(place))
        for (const [image, digest] of Object.entries(release.images)) {
          const found = digest || parseImage(image).digest
          if (found) named.by.set(found, [...(named.by.get(found) ?? []), `${place.name} ${release.number}`])
        }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      named.unread.push({ environment: place.name, why: error.why })
    }
  }
  return named
}
