// Tells people and GitHub what a change does, at its beginning and at its end. What does not arrive is a warning.
import { actor } from './actor.ts'
import { announce, announceSame, type News } from './announce.ts'
import { isNothing, type Change } from './change.ts'
import type { Failure } from '../errors.ts'
import { short } from '../github/deployments.ts'
import { notify } from '../notify/notify.ts'
import { title } from './manifests.ts'
import { serving } from './release.ts'
import { warn } from '../report.ts'
import type { Cause } from '../rollout/rollout.ts'
import { summarize } from '../summary.ts'

type Kind = 'started' | 'succeeded' | 'failed' | 'rolled-back'
interface More {
  failed?: Failure
  /** What serves now. */
  serving?: string
}

/** ms that a change waits for people and for GitHub when it has ended. */
const patience = 10_000

/** Nobody waits for the first message before there is another: a webhook that hangs must not hold up a change. */
export async function tell(change: Change, kind: Kind, more: More = {}): Promise<void> {
  const asked = Date.now()
  if (kind === 'started') return void (change.told = post(change, kind, more, patience))
  const both = async () => [
    ...((await change.told) ?? []),
    ...(await post(change, kind, more, Math.max(1_000, patience - (Date.now() - asked)))),
  ]
  const warnings = both()
  change.over = warnings
  for (const one of new Set(await warnings)) warn(one)
}

/** Out: a warning for each who does not know. */
async function post(change: Change, kind: Kind, more: More, limit: number): Promise<string[]> {
  const { place, release, started } = change
  const { failed } = more
  const cause = failed?.cause as Partial<Cause> | undefined
  const failure = failed
    ? {
        failure: {
          ...cause,
          cause: cause?.likely || failed.message,
          log: failed.evidence,
          next: failed.next,
        },
      }
    : {}
  const event = {
    kind,
    verb: change.verb,
    environment: place.name,
    release: String(release!.number),
    commit: release!.commit,
    actor: release!.who,
    ms: Date.now() - started,
    link: release!.run,
    serving: more.serving,
    ...failure,
  }
  const [warnings, warning] = await Promise.all([
    notify(event, { limit }),
    tellGitHub(change, kind, more, limit),
  ])
  return warning ? [...warnings, warning] : warnings
}

async function tellGitHub(
  change: Change,
  kind: Kind,
  more: More,
  limit: number,
): Promise<string | undefined> {
  if (kind === 'started') change.announced = announce(newsOf(change))
  if (!change.announced || kind === 'started') return undefined
  return change.announced.ended(
    kind === 'succeeded' ? 'success' : 'failure',
    endOf(change, kind, more),
    limit,
  )
}

function newsOf({ place, verb, release, found }: Change): News {
  const { number, what, commit, images } = release!
  const { history } = found!
  const good = serving(history)
  const since = history.slice(0, good ? history.indexOf(good) : history.length)
  const interrupted = since
    .filter(({ ending }) => ending === 'interrupted')
    .map(({ number }) => number)
  return { environment: place.name, verb, release: number, what, commit, images, interrupted }
}

/** The words for GitHub, which take 140 characters. */
export function endOf(
  { release }: Pick<Change, 'release'>,
  kind: Kind,
  { failed, serving = '' }: More,
): string {
  if (!failed) return short(`release ${release!.number} serves`)
  const { likely, application } = (failed.cause ?? {}) as Partial<Cause>
  return short(
    likely ? `${application}: ${likely}` : failed.why,
    kind === 'rolled-back' ? `rolled back, ${serving}` : serving,
  )
}

/** Nothing was to do: GitHub may still not know that this commit serves. */
export async function tellSame(change: Change, number: number): Promise<void> {
  const warning = await announceSame({ ...newsOf(change), release: number })
  if (warning) warn(warning)
}

/** Ends what people and GitHub were told of a change that says nothing more itself: it was interrupted, lost its lock, or has a bug. */
export async function leave(change: Change, why: string, limit = patience): Promise<void> {
  const { announced, told, over, place, verb, release, started } = change
  const failure = { cause: why, next: `npx zx scripts/${verb}.ts ${place.name}` }
  const event = () =>
    ({
      kind: 'failed',
      verb,
      environment: place.name,
      release: String(release!.number),
      actor: release!.who,
      ms: Date.now() - started,
      link: release!.run,
      failure,
    }) as const
  const telling = told && !over ? notify(event(), { limit }) : undefined
  change.over ??= telling ?? Promise.resolve()
  const [warning, warnings = []] = await Promise.all([
    announced?.ended('error', short(why), limit),
    telling,
  ])
  for (const one of [...warnings, ...(warning ? [warning] : [])]) warn(one)
}

/** What is known of it by now, for the summary of a workflow's job. */
export function noteFacts(change: Change, dry: boolean): void {
  const { place, verb, plan, release, found } = change
  const planned = plan && {
    Created: plan.created,
    Changed: plan.changed,
    Runs: plan.jobs.map(title),
    Removed: plan.removed.map(title),
  }
  summarize(
    {
      Environment: place.name,
      Release: release && !isNothing(change) ? `${release.number} (${release.what})` : undefined,
      Commit: release ? release.commit : found?.commit,
      By: actor(),
      ...Object.fromEntries(
        Object.entries(planned ?? {}).map(([name, titles]) => [name, titles.join(', ')]),
      ),
    },
    `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${place.name}${dry ? ': the plan, nothing was touched' : ''}`,
  )
}
