// Promotion: an environment takes only a commit that the environment in `promotedFrom`
// (environment.yaml) had, as GitHub records it.
import { Failure, exit } from '../../errors.ts'
import { readGitHubRepository, type GitHubRepository } from '../../github/client.ts'
import {
  findChangedDigests,
  fetchDeployment,
  type DeploymentPayload,
} from '../../github/deployments.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { color, say } from '../../report.ts'

/**
 * Asks GitHub how a commit did in the environment before this one. Throws Failure (refused) when it
 * did not succeed there; undefined: not asked.
 */
export async function requirePromoted(
  { promotedFrom, name }: Environment,
  commit: string | undefined,
  github: GitHubRepository | undefined = readGitHubRepository(),
  limit = 10_000,
): Promise<DeploymentPayload | undefined> {
  if (!promotedFrom) return undefined
  const what = `Find the commit in ${promotedFrom}`
  if (!github) {
    const why = `GitHub cannot be asked whether ${promotedFrom} had this commit: GITHUB_TOKEN or GITHUB_REPOSITORY is not set`
    if (process.env.GITHUB_ACTIONS === 'true')
      throw new Failure(exit.refused, what, why, {
        next: 'give the step GITHUB_TOKEN: ${{ github.token }}',
      })
    return void say(color.yellow(`  ${why}`))
  }
  const next = `deploy it to ${promotedFrom} first`
  const refused = (why: string) => new Failure(exit.refused, what, why, { next })
  if (!/^[0-9a-f]{40}$/.test(commit ?? ''))
    throw refused(
      `${name} takes only what ${promotedFrom} had, but ${commit ? 'files are changed' : 'no commit is known'}`,
    )
  const last = await fetchDeployment(github, Date.now() + limit, promotedFrom, commit!).catch(
    (error: Error) => {
      throw new Failure(exit.refused, what, error.message, {
        next: 'the same command again in a few minutes',
      })
    },
  )
  const short = commit!.slice(0, 12)
  if (!last)
    throw refused(`GitHub records no deployment of ${short} to ${promotedFrom} by deploy.ts`)
  if (last.state !== 'success')
    throw refused(
      `the last deployment of ${short} to ${promotedFrom} is recorded as ${last.state}, not as success`,
    )
  return last.payload
}

/**
 * Images that are not those that the environment before had: a tag has moved since, or another is
 * meant.
 */
export function findUnpromotedImages(
  { promotedFrom }: Environment,
  had: DeploymentPayload | undefined,
  now: Map<string, string>,
): string[] {
  const other = had ? findChangedDigests(had.images, now) : []
  return other.map(
    image =>
      `${image} is not what ${promotedFrom} had under this commit: its digest differs; deploy it to ${promotedFrom} first`,
  )
}
