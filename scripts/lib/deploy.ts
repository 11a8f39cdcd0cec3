// The phases of a change to an environment. Each adds what it finds to the change.
import { createInterface } from 'node:readline/promises'
import { inOrder, isWorkload, ready, remove } from './apply.ts'
import { kubectl, list, type Manifest, type Place } from './cluster.ts'
import { Failure, exit } from './errors.ts'
import { acquire, actor, runUrl, type Lock } from './lock.ts'
import { notify } from './notify.ts'
import { imagesOf, jobStamp, readDiff, removals, seatBelt, title, type Changes } from './plan.ts'
import { preflight, type Found, type Source } from './preflight.ts'
import { failing, heads } from './product.ts'
import { putBack } from './putback.ts'
import { color, duration, emit, result, say, step } from './report.ts'
import { serving, store, trim, type Ending, type Stored } from './release.ts'
import type { Cause } from './rollout.ts'
import { onInterrupt } from './run.ts'

/** ms for which all must stay ready. */
const stable = 10_000

export interface Plan extends Changes {
  removed: Manifest[]
  generated: Manifest[]
  jobs: Manifest[]
}

export interface Change {
  place: Place
  /** `deploy` or `rollback`. */
  verb: 'deploy' | 'rollback'
  source: Source
  /** Which release is put back; throws when it may not be. */
  choose: (history: Stored[]) => Stored | undefined
  prune: boolean
  yes: boolean
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

/** Runs the phases one after the other, up to `last`. What fails once the lock is held is put back. */
export async function transact(change: Change, phases: Phase[], last?: string): Promise<void> {
  const forget = onInterrupt(async () => {
    if (change.release) await finish(change, 'interrupted', 'interrupted').catch(() => {})
  })
  try {
    for (const [name, work] of phases) {
      change.phase = name
      if (change.lock) await change.lock.phase(name.toLowerCase())
      await step(name, () => work(change))
      if (name === last) break
    }
    if (!change.ended) return
    emit('result', change.ended.event)
    result(change.ended.text)
  } catch (error) {
    if (!change.lock || !change.release || !(error instanceof Failure) || change.lock.lost()) throw error
    // it was proven to work: what fails now is only the book-keeping
    if (change.phase === 'Record')
      throw new Failure(exit.broken, error.what, error.why, {
        next: `npx zx scripts/${change.verb}.ts ${change.place.name}, once more`,
        serving: 'the new version serves and passed the smoke test; only its record is not complete',
      })
    throw await putBack(change, error)
  } finally {
    forget()
    await change.lock?.release()
  }
}

export async function lookAhead(change: Change): Promise<void> {
  change.found = await preflight(change.place, change.source, change.choose)
}

/** Says what will be created, changed and removed. */
export async function plan(change: Change): Promise<void> {
  const { place, prune, found } = change
  const { manifests, history, diff } = found!
  const good = serving(history)
  const since = good ? history.indexOf(good) + 1 : history.length
  const [holders, jobs] = await Promise.all([list(place, 'replicasets,controllerrevisions,pods'), list(place, 'jobs')])
  const { removed, generated } = removals(
    manifests,
    history.slice(0, since).map(one => one.manifests),
    history.slice(since).map(one => one.manifests),
    [...holders, ...jobs],
  )
  const there = await existing(place, [...removed, ...generated])
  change.plan = {
    ...readDiff(diff, manifests),
    removed: removed.filter(one => there.has(title(one))),
    generated: generated.filter(one => there.has(title(one))),
    // migrations have no way back: a release that is put back runs none
    jobs: 'release' in change.source ? [] : manifests.filter(({ kind }) => kind === 'Job').filter(job => mustRun(job, jobs, good)),
  }
  const lines = { created: change.plan.created, changed: change.plan.changed, runs: change.plan.jobs.map(title), removed: change.plan.removed.map(title) }
  for (const [word, titles] of Object.entries(lines)) if (titles.length) say(`  ${word}: ${titles.join(', ')}`)
  if (!Object.values(lines).some(titles => titles.length)) say('  nothing changes')
  emit('plan', lines)
  if (change.plan.removed.length > seatBelt && !prune)
    throw new Failure(
      exit.refused,
      `Plan the ${change.verb}`,
      `${change.plan.removed.length} objects would be removed: ${lines.removed.join(', ')}; nothing was touched`,
      { next: 'the same command with --prune, if that is meant' },
    )
}

/** Which of these objects are in the cluster. */
async function existing(place: Place, all: Manifest[]): Promise<Set<string>> {
  if (!all.length) return new Set()
  const input = all.map(({ apiVersion, kind, metadata }) => JSON.stringify({ apiVersion, kind, metadata: { name: metadata.name } })).join('\n')
  const { stdout } = await kubectl(
    place,
    ['get', '--ignore-not-found', '--filename', '-', '--output', 'jsonpath={range .items[*]}{.kind} {.metadata.name}{"\\n"}{end}{.kind} {.metadata.name}'],
    { input, what: 'Look for what is to be removed' },
  )
  return new Set(stdout.split('\n'))
}

/** A migration runs unless the same one is known to have ended well. */
function mustRun(job: Manifest, live: Manifest[], good: Stored | undefined): boolean {
  const stamp = job.metadata.annotations?.[jobStamp]
  const here = live.find(one => title(one) === title(job))
  const complete = here?.status?.conditions?.some((one: { type: string; status: string }) => one.type === 'Complete' && one.status === 'True')
  if (here) return !(complete && here.metadata.annotations?.[jobStamp] === stamp)
  return good?.manifests.find(one => title(one) === title(job))?.metadata.annotations?.[jobStamp] !== stamp
}

/** Asks where the environment wants to be asked for. */
async function confirm({ place, yes, verb }: Change): Promise<void> {
  if (!place.protected || yes) return
  const what = `Begin the ${verb} to ${place.name}`
  if (!process.stdin.isTTY)
    throw new Failure(exit.refused, what, `${place.name} is protected and nobody is at the terminal; nothing was touched`, {
      next: 'the same command with --yes',
    })
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`Type ${place.name} to go on: `).finally(() => terminal.close())
  if (answer.trim() !== place.name) throw new Failure(exit.refused, what, 'not confirmed; nothing was touched')
}

/** Takes the lock, and records what is about to be done. */
export async function lock(change: Change): Promise<void> {
  const { place, verb, found, source } = change
  await confirm(change)
  change.lock = await acquire(place, verb)
  const { history, manifests, digests, commit } = found!
  for (const one of history) if (one.ending === 'applying') await store(place, Object.assign(one, { ending: 'interrupted' satisfies Ending }), 'replace')
  change.release = {
    number: (history[0]?.number ?? 0) + 1,
    ending: 'applying',
    what: 'release' in source ? `rollback to ${change.choose(history)!.number}` : 'deploy',
    who: actor(),
    run: runUrl(),
    commit: 'release' in source ? change.choose(history)!.commit : commit,
    started: new Date(change.started).toISOString(),
    images: Object.fromEntries(imagesOf(manifests).map(image => [image.split('@')[0]!, image.split('@')[1] ?? digests.get(image) ?? ''])),
    manifests,
  }
  if (isNothing(change)) return
  await store(place, change.release, 'create')
  await tell(change, 'started')
}

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

export const waitOf = ({ place, verb, lock }: Change, since = Date.now()) => ({
  place,
  what: `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${place.name}`,
  since,
  stable,
  lock: lock!,
})

export async function apply(change: Change): Promise<void> {
  const { plan, found } = change
  const names = [...plan!.created, ...plan!.changed]
  const objects = found!.manifests.filter(one => one.kind !== 'Job' && names.includes(title(one)))
  change.applied = Date.now()
  await inOrder(waitOf(change), objects, plan!.jobs, all => change.touched.push(...all))
}

/** Waits until every workload is ready, and stays so. */
export const watch = (change: Change): Promise<void> => ready(waitOf(change, change.applied), change.found!.manifests.filter(isWorkload))

/** Asks the product whether it works; checks that failed in the release that serves do not count. */
export async function smoke(change: Change): Promise<void> {
  const last = serving(change.found!.history)
  const known = (name: string) => !last || Boolean(last.failing?.includes(name))
  const failed = await failing(change.place, change.found!.manifests, known)
  change.release!.failing = failed.map(({ name }) => name)
  const old = failed.filter(({ name }) => known(name))
  for (const { name, detail } of old)
    say(color.yellow(`  ${name}: ${detail.split('\n')[0]} (${last ? `as in release ${last.number}` : 'nothing served before'})`))
  const bad = failed.filter(one => !old.includes(one))
  if (bad.length)
    throw new Failure(exit.broken, `Smoke ${change.place.name}`, `${bad.length} checks fail though all is ready: ${bad.map(({ name }) => name).join(', ')}`, {
      evidence: bad.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
      next: `npx zx scripts/smoke.ts ${change.place.name} --target kubernetes`,
    })
}

/** Removes what is not part of it any more, and records the release as the one that serves. */
export async function record(change: Change): Promise<void> {
  const { place, plan, found, release, started } = change
  await remove(place, [...plan!.removed, ...plan!.generated])
  const nothing = isNothing(change)
  const { failing = [] } = release!
  if (nothing) await noteFewer(place, serving(found!.history)!, failing)
  const number = nothing ? serving(found!.history)!.number : release!.number
  if (!nothing) {
    release!.heads = await heads(place, found!.manifests)
    await finish(change, 'succeeded')
    await trim(place, [release!, ...found!.history])
    await tell(change, 'succeeded')
  }
  const ms = Date.now() - started
  const but = failing.length ? ` ${failing.length} checks do not pass, as before: npx zx scripts/smoke.ts ${place.name} --target kubernetes` : ''
  const text = `${nothing ? 'Nothing to do: ' : ''}${place.name} serves release ${number}`
  change.ended = {
    event: { environment: place.name, release: number, changed: !nothing, failing, ms },
    text: `${text} (${nothing ? '' : `${release!.what}, `}${duration(ms)}).${but}`,
  }
}

/** A check that passes by now may not fail again unnoticed. */
async function noteFewer(place: Place, now: Stored, failing: string[]): Promise<void> {
  if ((now.failing ?? []).length > failing.length) await store(place, Object.assign(now, { failing }), 'replace')
}

export async function finish({ place, release }: Change, ending: Ending, cause?: string): Promise<void> {
  Object.assign(release!, { ending, ended: new Date().toISOString(), ...(cause ? { cause: cause.slice(0, 300) } : {}) })
  await store(place, release!, 'replace')
}

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

/** Refuses to go back over migrations that have run since, unless that is accepted. */
export async function requireSchema({ place, found, choose }: Change, accept: boolean): Promise<void> {
  const target = choose(found!.history)!
  const now = await heads(place, found!.manifests)
  const moved = Object.entries(target.heads ?? {}).filter(([folder, head]) => now[folder] && now[folder] !== head)
  const words = moved.map(([folder, head]) => `${folder}: ${head} then, ${now[folder]} now`)
  for (const one of words) say(`  migrated since: ${one}`)
  if (moved.length && !accept)
    throw new Failure(
      exit.refused,
      `Roll back ${place.name} to release ${target.number}`,
      `its databases have been migrated since: ${words.join('; ')}; nothing was touched`,
      {
        next: 'restore a backup of that release, or the same command with --accept-schema, if the old version works with the new schema',
      },
    )
}
