// Which digests the releases of the environments name.
import { Failure } from '../errors.ts'
import { loadEnvironment, listEnvironments, type Environment } from '../kubernetes/environment.ts'
import { fetchReleases } from '../kubernetes/releases.ts'

export interface ReleaseReferences {
  /** By digest, the releases: `staging 12`. */
  releasesByDigest: Map<string, string[]>
  /** The environments that have their images there. */
  environments: string[]
  /** Those whose releases could not be read, and why. */
  unread: { environment: string; why: string }[]
}

/** Asks every environment that has its images where these are. */
export async function findReleaseReferences(images: string[]): Promise<ReleaseReferences> {
  const here = (environment: Environment) =>
    images.some(
      image => environment.images !== undefined && image.startsWith(`${environment.images}/`),
    )
  const found = listEnvironments().map(loadEnvironment).filter(here)
  const named: ReleaseReferences = {
    releasesByDigest: new Map(),
    environments: found.map(({ name }) => name),
    unread: [],
  }
  for (const environment of found) {
    try {
      for (const release of await fetchReleases(environment))
        for (const digest of Object.values(release.images).filter(Boolean))
          named.releasesByDigest.set(digest, [
            ...(named.releasesByDigest.get(digest) ?? []),
            `${environment.name} ${release.number}`,
          ])
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      named.unread.push({ environment: environment.name, why: error.why })
    }
  }
  return named
}
