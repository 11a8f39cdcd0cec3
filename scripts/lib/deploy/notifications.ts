// Notifies people and GitHub of the start and the end of a change. A message that does not arrive
// is a warning.
import { shortenDescription } from '../github/deployments.ts'
import { notifyWebhooks } from '../notify/notify.ts'
import { warn } from '../report.ts'
import type { FailureCause } from '../rollout/status.ts'
import { Failure } from '../errors.ts'
import { readActor, workflowRunUrl } from './actor.ts'
import type { Change, DeployRequest } from './change.ts'
import { recordRefusal } from './github-deployment.ts'
import {
  describeFailing,
  updateGitHubDeployment,
  type NotificationDetails,
  type NotificationKind,
} from './change-on-github.ts'

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

/**
 * In a workflow: tells people and GitHub of a change that was refused before it took the lock. At a
 * terminal the person who began it sees it.
 */
export async function notifyRefused(
  { environment, verb }: Pick<DeployRequest, 'environment' | 'verb'>,
  error: Error,
  started: number,
): Promise<void> {
  if (process.env.GITHUB_ACTIONS !== 'true') return
  const { next, evidence } =
    error instanceof Failure ? error : { next: undefined, evidence: undefined }
  const commit = process.env.GITHUB_SHA
  const serving = 'as before: nothing was touched'
  const event = {
    kind: 'failed',
    verb,
    environment: environment.name,
    commit,
    actor: readActor(),
    ms: Date.now() - started,
    link: workflowRunUrl(),
    serving,
    failure: { cause: error.message, log: evidence, next },
  } as const
  const [warnings, warning] = await Promise.all([
    notifyWebhooks(event, { limit: notificationTimeoutMs }),
    recordRefusal(environment.name, commit, shortenDescription(error.message)),
  ])
  for (const one of [...warnings, ...(warning ? [warning] : [])]) warn(one)
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
    serving:
      more.serving ??
      (kind === 'succeeded' && release.failing?.length
        ? `release ${release.number}${describeFailing(release.failing)}`
        : undefined),
    ...failure,
  }
  const [warnings, warning] = await Promise.all([
    notifyWebhooks(event, { limit }),
    updateGitHubDeployment(change, kind, more, limit),
  ])
  return warning ? [...warnings, warning] : warnings
}

/**
 * Ends what people and GitHub were told of a change that says nothing more itself: it was
 * interrupted, lost its lock, or has a bug.
 */
export async function notifyAborted(
  change: Change,
  why: string,
  { limit = notificationTimeoutMs, serving }: { limit?: number; serving?: string } = {},
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
      commit: release.commit,
      actor: release.who,
      ms: Date.now() - started,
      link: release.run,
      serving,
      failure,
    }) as const
  const telling = startNotified && !endNotified ? notifyWebhooks(event(), { limit }) : undefined
  change.endNotified ??= telling ?? Promise.resolve()
  const [warning, warnings = []] = await Promise.all([
    githubDeployment?.finish('error', shortenDescription(why, serving), limit),
    telling,
  ])
  for (const one of [...warnings, ...(warning ? [warning] : [])]) warn(one)
}
