// The deployments that GitHub shows for an environment: those of our making, how they end, and which of them prove a commit.
import { ask, type GitHub } from './github.ts'
import { redact } from '../redact.ts'
import { parseImage } from '../images/registry.ts'

/** What marks a deployment as ours: GitHub's own workflows make one for each of their jobs, too. */
export interface Payload {
  by: 'kgc-stack'
  verb: 'deploy' | 'rollback'
  release: number
  /** By image, its digest. */
  images: Record<string, string>
}

export interface Deployment {
  id: number
  /** GitHub gives back an object or its JSON. */
  payload: unknown
}
export interface Status {
  id: number
  state: string
}
export type State = 'in_progress' | 'success' | 'failure' | 'error'

/** The payload of a deployment of our making; undefined of any other. */
export function payloadOf({ payload }: Deployment): Payload | undefined {
  let said = payload
  try {
    if (typeof said === 'string') said = JSON.parse(said)
  } catch {
    return undefined
  }
  const { by, images, ...rest } = Object(said) as Payload
  return by === 'kgc-stack'
    ? { by, ...rest, images: Object(images) as Payload['images'] }
    : undefined
}

/** The newest of our making. */
export const newestOf = <T extends Deployment>(all: T[]): T | undefined =>
  all.filter(payloadOf).sort((a, b) => b.id - a.id)[0]

/** How a deployment ended. `inactive` is no ending: GitHub adds it when a later deployment to the same environment succeeds. */
export const endingOf = (all: Status[]): string =>
  all.filter(({ state }) => state !== 'inactive').sort((a, b) => b.id - a.id)[0]?.state ?? 'pending'

/** The images of the same name whose digest differs from what a deployment had. */
export function otherDigests(
  had: Record<string, string>,
  now: Iterable<[image: string, digest: string]>,
): string[] {
  const known = new Map<string, string[]>()
  for (const [image, digest] of Object.entries(had))
    known.set(parseImage(image).name, [...(known.get(parseImage(image).name) ?? []), digest])
  return [...now]
    .filter(([image, digest]) => known.get(parseImage(image).name)?.includes(digest) === false)
    .map(([image]) => image.split('@')[0]!)
}

/** The newest deployment of our making of a commit to an environment, and how it ended; undefined when there is none. */
export async function recorded(
  github: GitHub,
  until: number,
  environment: string,
  sha: string,
): Promise<{ state: string; payload: Payload } | undefined> {
  const { owner, repo } = github
  const newest = newestOf(
    await ask(github, until, ({ rest }) =>
      rest.repos.listDeployments({ owner, repo, environment, sha, per_page: 100 }),
    ),
  )
  return newest && { state: await stateOf(github, until, newest), payload: payloadOf(newest)! }
}

async function stateOf(github: GitHub, until: number, { id }: Deployment): Promise<string> {
  const { owner, repo } = github
  return endingOf(
    await ask(github, until, ({ rest }) =>
      rest.repos.listDeploymentStatuses({ owner, repo, deployment_id: id, per_page: 100 }),
    ),
  )
}

/** Those of our making that nothing has ended, of releases whose process is known to have. */
export async function leftOver(
  github: GitHub,
  until: number,
  environment: string,
  releases: number[],
): Promise<number[]> {
  if (!releases.length) return []
  const { owner, repo } = github
  const all = await ask(github, until, ({ rest }) =>
    rest.repos.listDeployments({ owner, repo, environment, per_page: 100 }),
  )
  const ours = all.filter(one => releases.includes(payloadOf(one)?.release ?? -1))
  const states = await Promise.all(ours.map(one => stateOf(github, until, one)))
  return ours
    .filter((_, index) => /^(pending|queued|in_progress)$/.test(states[index]!))
    .map(({ id }) => id)
}

/** Makes a deployment. Returns its number. */
export async function create(
  github: GitHub,
  until: number,
  {
    environment,
    ref,
    payload,
    description,
  }: { environment: string; ref: string; payload: Payload; description: string },
): Promise<number> {
  const { owner, repo } = github
  // it is deployed already, or will be in a moment: GitHub has nothing to merge and nothing to wait for
  const more = {
    auto_merge: false,
    required_contexts: [],
    payload: { ...payload },
    description: short(description),
  }
  const request = { owner, repo, environment, ref, ...more }
  const made = await ask<{ id?: number; message?: string }>(github, until, ({ rest }) =>
    rest.repos.createDeployment(request),
  )
  const { id, message = 'it does not say why' } = made
  if (id === undefined) throw new Error(`GitHub made no deployment (${redact(message)})`)
  return id
}

/** Says how a deployment goes on. */
export async function setStatus(
  github: GitHub,
  until: number,
  id: number,
  state: State,
  description: string,
  log?: string,
): Promise<void> {
  const { owner, repo } = github
  const more = { state, description: short(description), ...(log ? { log_url: log } : {}) }
  await ask(github, until, ({ rest }) =>
    rest.repos.createDeploymentStatus({ owner, repo, deployment_id: id, ...more }),
  )
}

/** GitHub takes descriptions of up to 140 characters. */
const room = 140

/** A cause, and what follows from it, in as many characters as GitHub takes: the cause is what is cut. */
export function short(cause: string, then = ''): string {
  const [first, rest] = [cause, then && `; ${then}`].map(text =>
    redact(text).replace(/\s+/g, ' ').trim(),
  )
  const [head, tail] = [[...first!], [...rest!].slice(0, room - 20)]
  return head.length + tail.length <= room
    ? [...head, ...tail].join('')
    : [...head.slice(0, room - 1 - tail.length), '…', ...tail].join('')
}
