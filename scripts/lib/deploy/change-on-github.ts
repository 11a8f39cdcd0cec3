// What GitHub is told of a change.
import type { Failure } from '../errors.ts'
import { shortenDescription } from '../github/deployments.ts'
import { findCurrentRelease } from '../kubernetes/releases.ts'
import { warn } from '../report.ts'
import type { FailureCause } from '../rollout/status.ts'
import type { Change } from './change.ts'
import {
  ensureDeploymentRecorded,
  startGitHubDeployment,
  type DeploymentInfo,
} from './github-deployment.ts'

export type NotificationKind = 'started' | 'succeeded' | 'failed' | 'rolled-back'
export interface NotificationDetails {
  failed?: Failure
  /** What serves now. */
  serving?: string
}

/** Begins or ends the deployment at GitHub. Out: a warning when it does not know. */
export async function updateGitHubDeployment(
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
  if (!failed)
    return shortenDescription(`release ${release.number} serves${describeFailing(release.failing)}`)
  const { likely, application } = (failed.cause ?? {}) as Partial<FailureCause>
  return shortenDescription(
    likely ? `${application}: ${likely}` : failed.why,
    kind === 'rolled-back' ? `rolled back, ${serving}` : serving,
  )
}

/** How many checks did not pass in a release that serves all the same; '' when all did. */
export const describeFailing = (failing: string[] = []): string =>
  failing.length ? `, with ${failing.length} failing check${failing.length > 1 ? 's' : ''}` : ''

/** Nothing was to do: GitHub may still not know that this commit serves. */
export async function ensureReleaseRecorded(change: Change, number: number): Promise<void> {
  const warning = await ensureDeploymentRecorded({
    ...createDeploymentInfo(change),
    release: number,
  })
  if (warning) warn(warning)
}
