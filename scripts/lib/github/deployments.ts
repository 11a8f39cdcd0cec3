// The deployments that GitHub records for an environment: those that deploy.ts made, how they
// ended, and which of them prove a commit.
import { requestGitHub, type GitHubRepository } from './client.ts'
import { redact } from '../redact.ts'
import { parseImage } from '../images/reference.ts'

/** What marks a deployment as ours: GitHub's own workflows make one for each of their jobs, too. */
export interface DeploymentPayload {
  by: 'kgc-stack'
  verb: 'deploy' | 'rollback'
  release: number
  /** By image, its digest. */
  images: Record<string, string>
}

/** What marks a change that was refused before it touched anything. */
export interface RefusalPayload {
  by: 'kgc-stack-refused'
}

export interface DeploymentRecord {
  id: number
  /** GitHub gives back an object or its JSON. */
  payload: unknown
}
export interface DeploymentStatus {
  id: number
  state: string
}
export type DeploymentState = 'in_progress' | 'success' | 'failure' | 'error'

/** The payload of a deployment of our making; undefined of any other. */
export function parseDeploymentPayload({
  payload,
}: DeploymentRecord): DeploymentPayload | undefined {
  let said = payload
  try {
    if (typeof said === 'string') said = JSON.parse(said)
  } catch {
    return undefined
  }
  const { by, images, ...rest } = Object(said) as DeploymentPayload
  return by === 'kgc-stack'
    ? { by, ...rest, images: Object(images) as DeploymentPayload['images'] }
    : undefined
}

/** The newest of our making. */
export const findNewestDeployment = <T extends DeploymentRecord>(all: T[]): T | undefined =>
  all.filter(parseDeploymentPayload).sort((a, b) => b.id - a.id)[0]

/**
 * How a deployment ended. `inactive` is no ending: GitHub adds it when a later deployment to the
 * same environment succeeds.
 */
export const finalDeploymentState = (all: DeploymentStatus[]): string =>
  all.filter(({ state }) => state !== 'inactive').sort((a, b) => b.id - a.id)[0]?.state ?? 'pending'

/** The images of the same name whose digest differs from what a deployment had. */
export function findChangedDigests(
  had: Record<string, string>,
  now: Iterable<[image: string, digest: string]>,
): string[] {
  const known = new Map<string, string[]>()
  for (const [image, digest] of Object.entries(had))
    known.set(parseImage(image).name, [...(known.get(parseImage(image).name) ?? []), digest])
  return [...now]
    .filter(([image, digest]) => known.get(parseImage(image).name)?.includes(digest) === false)
    .map(([image]) => image.split('@')[0] ?? image)
}

/**
 * The newest deployment of our making of a commit to an environment, and how it ended; undefined
 * when there is none.
 */
export async function fetchDeployment(
  github: GitHubRepository,
  until: number,
  environment: string,
  sha: string,
): Promise<{ state: string; payload: DeploymentPayload } | undefined> {
  const { owner, repo } = github
  const newest = findNewestDeployment(
    await requestGitHub(github, until, ({ rest }) =>
      rest.repos.listDeployments({ owner, repo, environment, sha, per_page: 100 }),
    ),
  )
  return (
    newest && {
      state: await fetchDeploymentState(github, until, newest),
      payload: parseDeploymentPayload(newest)!,
    }
  )
}

async function fetchDeploymentState(
  github: GitHubRepository,
  until: number,
  { id }: DeploymentRecord,
): Promise<string> {
  const { owner, repo } = github
  return finalDeploymentState(
    await requestGitHub(github, until, ({ rest }) =>
      rest.repos.listDeploymentStatuses({ owner, repo, deployment_id: id, per_page: 100 }),
    ),
  )
}

/** Those of our making that nothing has ended, of releases whose process is known to have. */
export async function findUnfinishedDeployments(
  github: GitHubRepository,
  until: number,
  environment: string,
  releases: number[],
): Promise<number[]> {
  if (!releases.length) return []
  const { owner, repo } = github
  const all = await requestGitHub(github, until, ({ rest }) =>
    rest.repos.listDeployments({ owner, repo, environment, per_page: 100 }),
  )
  const ours = all.filter(one => releases.includes(parseDeploymentPayload(one)?.release ?? -1))
  const states = await Promise.all(ours.map(one => fetchDeploymentState(github, until, one)))
  return ours
    .filter((_, index) => /^(pending|queued|in_progress)$/.test(states[index]!))
    .map(({ id }) => id)
}

/** Makes a deployment. Returns its number. */
export async function createDeployment(
  github: GitHubRepository,
  until: number,
  {
    environment,
    ref,
    payload,
    description,
  }: {
    environment: string
    ref: string
    payload: DeploymentPayload | RefusalPayload
    description: string
  },
): Promise<number> {
  const { owner, repo } = github
  // it is deployed already, or will be in a moment: GitHub has nothing to merge and nothing to wait
  // for
  const more = {
    auto_merge: false,
    required_contexts: [],
    payload: { ...payload },
    description: shortenDescription(description),
  }
  const request = { owner, repo, environment, ref, ...more }
  const made = await requestGitHub<{ id?: number; message?: string }>(github, until, ({ rest }) =>
    rest.repos.createDeployment(request),
  )
  const { id, message = 'it does not say why' } = made
  if (id === undefined) throw new Error(`GitHub created no deployment (${redact(message)})`)
  return id
}

/** Says how a deployment goes on. */
export async function setDeploymentStatus(
  github: GitHubRepository,
  until: number,
  id: number,
  state: DeploymentState,
  description: string,
  log?: string,
): Promise<void> {
  const { owner, repo } = github
  const more = {
    state,
    description: shortenDescription(description),
    ...(log ? { log_url: log } : {}),
  }
  await requestGitHub(github, until, ({ rest }) =>
    rest.repos.createDeploymentStatus({ owner, repo, deployment_id: id, ...more }),
  )
}

/** GitHub takes descriptions of up to 140 characters. */
const maxDescriptionLength = 140

/** A cause, and what follows from it, in as many characters as GitHub takes. */
export function shortenDescription(cause: string, then = ''): string {
  const clean = (text: string) => [...redact(text).replace(/\s+/g, ' ').trim()]
  const head = clean(cause)
  // what serves is said in full elsewhere: the cause keeps most of the room
  const room = Math.max(50, maxDescriptionLength - head.length)
  const tail = shorten(clean(then && `; ${then}`), room)
  return [...shorten(head, maxDescriptionLength - tail.length), ...tail].join('')
}

const shorten = (letters: string[], most: number): string[] =>
  letters.length <= most ? letters : [...letters.slice(0, most - 1), '…']
