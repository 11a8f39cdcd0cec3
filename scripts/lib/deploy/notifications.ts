// Tells people and GitHub what a change does, at its beginning and at its end. What does not arrive
// is a warning.
import { readActor } from './actor.ts'
import {
  startGitHubDeployment,
  ensureDeploymentRecorded,
  type DeploymentInfo,
} from './github-deployment.ts'
import { isNoChange, type Change, type DeployRequest } from './change.ts'
import type { Failure } from '../errors.ts'
import { shortenDescription } from '../github/deployments.ts'
import { notifyWebhooks } from '../notify/notify.ts'
import { resourceId } from '../kubernetes/objects.ts'
import { findCurrentRelease } from '../kubernetes/releases.ts'
import { warn } from '../report.ts'
import type { FailureCause } from '../rollout/watch.ts'
import { addSummaryFacts } from '../job-summary.ts'

type NotificationKind = 'started' | 'succeeded' | 'failed' | 'rolled-back'
interface NotificationDetails {
  failed?: Failure
  /** What serves now. */
  serving?: string
}

/** ms that a change waits for people and for GitHub when it has ended. */
const notificationTimeoutMs = 10_000

/**
 * Nobody waits for the first message before there is another: a webhook that hangs must not hold up
 * a change.
 */
export async function notifyChange(
  change: Change,
  kind: NotificationKind,
  more: NotificationDetails = {},
): Promise<void> {
  const asked = Date.now()
  if (kind === 'started')
    return void (change.startNotified = sendNotifications(
      change,
      kind,
      more,
      notificationTimeoutMs,
    ))
  const both = async () => [
    ...((await change.startNotified) ?? []),
    ...(await sendNotifications(
      change,
      kind,
      more,
      Math.max(1_000, notificationTimeoutMs - (Date.now() - asked)),
    )),
  ]
  const warnings = both()
  change.endNotified = warnings
  for (const one of new Set(await warnings)) warn(one)
}

/** Out: a warning for each who does not know. */
async function sendNotifications(
  change: Change,
  kind: NotificationKind,
  more: NotificationDetails,
  limit: number,
): Promise<string[]> {
  const { environment, release, started } = change
  const { failed } = more
  const cause = failed?.cause as Partial<FailureCause> | undefined
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
    environment: environment.name,
    release: String(release.number),
    commit: release.commit,
    actor: release.who,
    ms: Date.now() - started,
    link: release.run,
    serving: more.serving,
    ...failure,
  }
  const [warnings, warning] = await Promise.all([
    notifyWebhooks(event, { limit }),
    updateGitHubDeployment(change, kind, more, limit),
  ])
  return warning ? [...warnings, warning] : warnings
}

async function updateGitHubDeployment(
  change: Change,
  kind: NotificationKind,
  more: NotificationDetails,
  limit: number,
): Promise<string | undefined> {
  if (kind === 'started')
    change.githubDeployment = startGitHubDeployment(createDeploymentInfo(change))
  if (!change.githubDeployment || kind === 'started') return undefined
  return change.githubDeployment.finish(
    kind === 'succeeded' ? 'success' : 'failure',
    describeOutcome(change, kind, more),
    limit,
  )
}

function createDeploymentInfo({ environment, verb, release, facts }: Change): DeploymentInfo {
  const { number, what, commit, images } = release
  const { history } = facts
  const good = findCurrentRelease(history)
  const since = history.slice(0, good ? history.indexOf(good) : history.length)
  const interrupted = since
    .filter(({ ending }) => ending === 'interrupted')
    .map(({ number }) => number)
  return { environment: environment.name, verb, release: number, what, commit, images, interrupted }
}

/** The words for GitHub, which take 140 characters. */
export function describeOutcome(
  { release }: Pick<Change, 'release'>,
  kind: NotificationKind,
  { failed, serving = '' }: NotificationDetails,
): string {
  if (!failed) return shortenDescription(`release ${release.number} serves`)
  const { likely, application } = (failed.cause ?? {}) as Partial<FailureCause>
  return shortenDescription(
    likely ? `${application}: ${likely}` : failed.why,
    kind === 'rolled-back' ? `rolled back, ${serving}` : serving,
  )
}

/** Nothing was to do: GitHub may still not know that this commit serves. */
export async function ensureReleaseRecorded(change: Change, number: number): Promise<void> {
  const warning = await ensureDeploymentRecorded({
    ...createDeploymentInfo(change),
    release: number,
  })
  if (warning) warn(warning)
}

/**
 * Ends what people and GitHub were told of a change that says nothing more itself: it was
 * interrupted, lost its lock, or has a bug.
 */
export async function notifyAborted(
  change: Change,
  why: string,
  limit = notificationTimeoutMs,
): Promise<void> {
  const { githubDeployment, startNotified, endNotified, environment, verb, release, started } =
    change
  const failure = { cause: why, next: `npx zx scripts/${verb}.ts ${environment.name}` }
  const event = () =>
    ({
      kind: 'failed',
      verb,
      environment: environment.name,
      release: String(release.number),
      actor: release.who,
      ms: Date.now() - started,
      link: release.run,
      failure,
    }) as const
  const telling = startNotified && !endNotified ? notifyWebhooks(event(), { limit }) : undefined
  change.endNotified ??= telling ?? Promise.resolve()
  const [warning, warnings = []] = await Promise.all([
    githubDeployment?.finish('error', shortenDescription(why), limit),
    telling,
  ])
  for (const one of [...warnings, ...(warning ? [warning] : [])]) warn(one)
}

/** What is known of it by now, for the summary of a workflow's job. */
export function updateJobSummary(
  known: DeployRequest & Partial<Pick<Change, 'facts' | 'plan' | 'release'>>,
  dry: boolean,
): void {
  const { environment, verb, plan, release, facts } = known
  const isRecorded = release && plan && facts && !isNoChange({ plan, facts })
  const planned = plan && {
    Created: plan.created,
    Changed: plan.changed,
    Runs: plan.jobs.map(resourceId),
    Removed: plan.removed.map(resourceId),
  }
  addSummaryFacts(
    {
      Environment: environment.name,
      Release: isRecorded ? `${release.number} (${release.what})` : undefined,
      Commit: release ? release.commit : facts?.commit,
      By: readActor(),
      ...Object.fromEntries(
        Object.entries(planned ?? {}).map(([name, titles]) => [name, titles.join(', ')]),
      ),
    },
    `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${environment.name}${dry ? ': the plan, nothing was touched' : ''}`,
  )
}
