// Notifies people and GitHub of the start and the end of a change. A message that does not arrive
// is a warning.
import { shortenDescription } from '../github/deployments.ts'
import { notifyWebhooks } from '../notify/notify.ts'
import { warn } from '../report.ts'
import type { FailureCause } from '../rollout/watch.ts'
import type { Change } from './change.ts'
import {
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
