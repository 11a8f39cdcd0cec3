// A change to an environment: what it is, what its phases have found, and how it is written down and told.
import type { Manifest, Place } from './cluster.ts'
import type { Failure } from './errors.ts'
import type { Lock } from './lock.ts'
import { notify } from './notify.ts'
import type { Changes } from './plan.ts'
import type { Found, Source } from './preflight.ts'
import { store, type Ending, type Stored } from './release.ts'
import { say } from './report.ts'
import type { Cause } from './rollout.ts'

/** ms for which all must stay ready. */
const stable = 10_000

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

export interface Change extends Asked {
  started: number
  found?: Found
  plan?: Plan
  lock?: Lock
  release?: Stored
  /** What has been applied, or is being. */
  touched: Manifest[]
  /** ms of the clock when the first object was applied. */
  applied?: number
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
    JSON.stringify(known(newest.manifests)) === JSON.stringify(known(found!.manifests))
  )
}
const known = (all: Manifest[]) => all.filter(({ kind }) => kind !== 'Secret')

/** How the workloads of a change are waited for. */
export const waitOf = ({ place, verb, lock }: Change, since = Date.now()) => ({
  place,
  what: `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${place.name}`,
  since,
  stable,
  lock: lock!,
})

/** Writes down how it ended. */
export async function finish({ place, release }: Change, ending: Ending, cause?: string): Promise<void> {
  Object.assign(release!, { ending, ended: new Date().toISOString(), ...(cause ? { cause: cause.slice(0, 300) } : {}) })
  await store(place, release!, 'replace')
}

/** Tells the people. */
export async function tell(
  { place, release, started }: Change,
  kind: 'started' | 'succeeded' | 'failed' | 'rolled-back',
  more: { failed?: Failure; serving?: string } = {},
): Promise<void> {
  const cause = more.failed?.cause as Partial<Cause> | undefined
  const failure = more.failed ? { failure: { ...cause, cause: cause?.likely || more.failed.message, log: more.failed.evidence } } : {}
  const warnings = await notify({
    kind,
    environment: place.name,
    release: String(release!.number),
    commit: release!.commit,
    actor: release!.who,
    ms: Date.now() - started,
    link: release!.run,
    serving: more.serving,
    ...failure,
  })
  for (const one of warnings) say(`  ${one}`)
}
