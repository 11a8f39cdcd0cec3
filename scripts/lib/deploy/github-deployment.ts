// Reports a change to GitHub: a deployment of the release's commit, from the lock to its end. The
// change waits for these reports only at its end; a failed report is a warning.
import { workflowRunUrl } from './actor.ts'
import { readGitHubRepository, type GitHubRepository } from '../github/client.ts'
import {
  createDeployment,
  findUnfinishedDeployments,
  fetchDeployment,
  setDeploymentStatus,
  shortenDescription,
  findChangedDigests,
  type DeploymentPayload,
  type DeploymentState,
} from '../github/deployments.ts'
import { redact } from '../redact.ts'
import { waitAtMost } from '../retry.ts'

/** What is told of a change. */
export interface DeploymentInfo {
  environment: string
  verb: DeploymentPayload['verb']
  release: number
  /** `deploy`, `rollback to 7`. */
  what: string
  commit: string | undefined
  images: Record<string, string>
  /** Releases whose process was ended before it could say how they ended. */
  interrupted?: number[]
}

export interface GitHubDeployment {
  /**
   * Says how it ended, the first time that it is called, in `limit` ms at most; never throws. Out:
   * a warning when GitHub does not know it.
   */
  finish: (
    state: Exclude<DeploymentState, 'in_progress'>,
    words: string,
    limit?: number,
  ) => Promise<string | undefined>
}

/** ms that anybody ever waits for GitHub. */
const gitHubTimeoutMs = 10_000

const isFullCommit = (text = ''): boolean => /^[0-9a-f]{40}$/.test(text)

/**
 * Begins to tell GitHub of a change; undefined where nobody listens: no token, no repository, or a
 * commit that GitHub cannot have.
 */
export function startGitHubDeployment(
  news: DeploymentInfo,
  github = readGitHubRepository(),
  limit = gitHubTimeoutMs,
): GitHubDeployment | undefined {
  if (!github || !isFullCommit(news.commit)) return undefined
  let made: number | undefined
  let trouble: string | undefined
  let over = false
  const begun = createStartedDeployment(
    github,
    news,
    Date.now() + limit,
    id => void (made = id),
  ).catch(error => void (trouble = describeGitHubFailure(error)))
  const ended: GitHubDeployment['finish'] = async (state, words, limit = gitHubTimeoutMs) => {
    if (over) return undefined
    over = true
    const until = Date.now() + limit
    // once there is one, its beginning may not take the time that its end needs
    await waitAtMost(made === undefined ? limit : limit / 2, begun)
    if (made === undefined) return trouble ?? 'GitHub did not answer in time'
    return setDeploymentStatus(github, until, made, state, words, workflowRunUrl()).then(
      () => undefined,
      describeGitHubFailure,
    )
  }
  return { finish: ended }
}

const describeGitHubFailure = (error: unknown): string =>
  redact(`${(error as Error).message}; it does not know of this deployment`)

/** `known` gets the deployment's number as soon as there is one. */
async function createStartedDeployment(
  github: GitHubRepository,
  news: DeploymentInfo,
  until: number,
  known: (id: number) => void,
): Promise<void> {
  const { environment, verb, release, images, what, commit } = news
  const payload: DeploymentPayload = { by: 'kgc-stack', verb, release, images }
  const id = await createDeployment(github, until, {
    environment,
    ref: commit!,
    payload,
    description: `release ${release}: ${what}`,
  })
  known(id)
  await setDeploymentStatus(
    github,
    until,
    id,
    'in_progress',
    `release ${release}: ${what}`,
    workflowRunUrl(),
  )
  const old = await findUnfinishedDeployments(github, until, environment, news.interrupted ?? [])
  await Promise.all(
    old.map(id =>
      setDeploymentStatus(github, until, id, 'error', 'interrupted; its process was killed'),
    ),
  )
}

/**
 * Tells GitHub of a change that was refused. It proves nothing about its commit, so it is none of
 * the deployments that a promotion asks for. Out: a warning, if any.
 */
export async function recordRefusal(
  environment: string,
  commit: string | undefined,
  words: string,
  github = readGitHubRepository(),
  limit = gitHubTimeoutMs,
): Promise<string | undefined> {
  if (!github || !isFullCommit(commit)) return undefined
  const until = Date.now() + limit
  try {
    const payload = { by: 'kgc-stack-refused' } as const
    const id = await createDeployment(github, until, {
      environment,
      ref: commit!,
      payload,
      description: 'refused',
    })
    await setDeploymentStatus(github, until, id, 'failure', words, workflowRunUrl())
    return undefined
  } catch (error) {
    return describeGitHubFailure(error)
  }
}

/**
 * Nothing was to do: GitHub is told only if it does not know yet that this commit serves, with
 * these images. Out: a warning, if any.
 */
export async function ensureDeploymentRecorded(
  news: DeploymentInfo,
  github = readGitHubRepository(),
  limit = gitHubTimeoutMs,
): Promise<string | undefined> {
  if (!github || !isFullCommit(news.commit)) return undefined
  const until = Date.now() + limit
  try {
    const last = await fetchDeployment(github, until, news.environment, news.commit!)
    if (
      last?.state === 'success' &&
      !findChangedDigests(last.payload.images, Object.entries(news.images)).length
    )
      return undefined
    const left = until - Date.now()
    return await startGitHubDeployment(news, github, left)?.finish(
      'success',
      shortenDescription(`release ${news.release} serves, nothing to do`),
      left,
    )
  } catch (error) {
    return describeGitHubFailure(error)
  }
}
