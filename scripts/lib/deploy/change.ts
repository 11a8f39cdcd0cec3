// A change to an environment: what it is, what its phases have found, and how it is written down.
import type { Announced } from './announce.ts'
import type { Manifest } from '../cluster/cluster.ts'
import type { Lock } from './lock.ts'
import { title, type Changes } from './manifests.ts'
import type { Place } from '../cluster/place.ts'
import type { Found, Source } from './preflight.ts'
import type { Wait } from './readiness.ts'
import { redact } from '../redact.ts'
import { isAlike, store, type Ending, type Stored } from './release.ts'
import { narrator } from '../rollout/tell.ts'
import { leastReplicas } from '../smoke/cluster-health.ts'

export interface Plan extends Changes {
  removed: Manifest[]
  generated: Manifest[]
  jobs: Manifest[]
}

/** What is asked for. */
export interface Asked {
  place: Place
  /** `deploy` or `rollback`. */
  verb: 'deploy' | 'rollback'
  source: Source
  /** Which release is put back; throws when it may not be. */
  choose: (history: Stored[]) => Stored | undefined
  prune: boolean
  yes: boolean
}

/** Of the release that is deployed, of the one before (or gone, if that has none), or one of the two. */
export type Stand = 'new' | 'old' | 'unknown'

export interface Change extends Asked {
  started: number
  found?: Found
  plan?: Plan
  lock?: Lock
  release?: Stored
  /** What GitHub is told of it. */
  announced?: Announced | undefined
  /** The first message to people, which is on its way. */
  told?: Promise<string[]>
  /** People are being told how it ended, or have been. */
  over?: Promise<unknown>
  /** What has been applied, or may have been; without Jobs. */
  touched: Manifest[]
  /** Which release each of them is of now, by its title; a Job runs once, and what it has done stays. */
  stands: Map<string, Stand>
  /** What was removed at the end, by its title. */
  removed: Set<string>
  /** How its workloads are waited for, since the first object was applied. */
  wait?: Wait
  /** The phase that it is in. */
  phase: string
  /** How it ended, for the last line. */
  ended?: { event: object; text: string }
}

export type Phase = [name: string, work: (change: Change) => Promise<void>]

/** Neither does anything change, nor is there anything to record. */
export function isNothing({ plan, found }: Change): boolean {
  const { created, changed, jobs, removed } = plan!
  const [newest] = found!.history
  return (
    ![created, changed, jobs, removed].some(list => list.length) &&
    newest?.ending === 'succeeded' &&
    isAlike(newest, { ...newest, manifests: found!.manifests })
  )
}

/**
 * How the workloads among `all` are waited for from now on. `settled`: nothing has been done that pods could suffer from. Those that are not
 * `touched` need no more pods than the least: what an autoscaler adds may find no room, and that is no fault of the change.
 */
export function waitOf(
  { place, verb, lock }: Change,
  settled: boolean,
  all: Manifest[],
  touched: Manifest[],
): Wait {
  const since = Date.now()
  const what = `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${place.name}`
  const names = new Set(touched.map(title))
  const alone = all.filter(
    one => ['Deployment', 'StatefulSet'].includes(one.kind) && !names.has(title(one)),
  )
  const least = new Map(alone.map(one => [title(one), leastReplicas(one, all)]))
  return {
    place,
    what,
    since,
    stable: place.stable * 1000,
    settled,
    least,
    lock: lock!,
    tell: narrator(since),
  }
}

/** Writes down how it ended. */
export async function finish(
  { place, release, lock }: Change,
  ending: Ending,
  cause?: string,
): Promise<void> {
  Object.assign(release!, {
    ending,
    ended: new Date().toISOString(),
    ...(cause ? { cause: redact(cause).slice(0, 300) } : {}),
  })
  await store(place, release!, 'replace', lock?.lost)
}
