// Tells GitHub what a change does: a deployment of the release's commit, from the lock to how it ended. The change itself waits for nothing of it
// before its end; what goes wrong is a warning.
import { runUrl } from './actor.ts'
import { gitHub, type GitHub } from '../github/github.ts'
import {
  create,
  leftOver,
  recorded,
  setStatus,
  short,
  otherDigests,
  type Payload,
  type State,
} from '../github/deployments.ts'
import { redact } from '../redact.ts'

/** What is told of a change. */
export interface News {
  environment: string
  verb: Payload['verb']
  release: number
  /** `deploy`, `rollback to 7`. */
  what: string
  commit: string | undefined
  images: Record<string, string>
  /** Releases whose process was ended before it could say how they ended. */
  interrupted?: number[]
}

export interface Announced {
  /** Says how it ended, the first time that it is called, in `limit` ms at most; never throws. Out: a warning when GitHub does not know it. */
  ended: (
    state: Exclude<State, 'in_progress'>,
    words: string,
    limit?: number,
  ) => Promise<string | undefined>
}

/** ms that anybody ever waits for GitHub. */
const patience = 10_000

const isCommit = (text = ''): boolean => /^[0-9a-f]{40}$/.test(text)

/** Begins to tell GitHub of a change; undefined where nobody listens: no token, no repository, or a commit that GitHub cannot have. */
export function announce(news: News, github = gitHub(), limit = patience): Announced | undefined {
  if (!github || !isCommit(news.commit)) return undefined
  let made: number | undefined
  let trouble: string | undefined
  let over = false
  const begun = begin(github, news, Date.now() + limit, id => void (made = id)).catch(
    error => void (trouble = said(error)),
  )
  const ended: Announced['ended'] = async (state, words, limit = patience) => {
    if (over) return undefined
    over = true
    const until = Date.now() + limit
    let timer: NodeJS.Timeout | undefined
    // once there is one, its beginning may not take the time that its end needs
    await Promise.race([
      begun,
      new Promise(done => (timer = setTimeout(done, made === undefined ? limit : limit / 2))),
    ])
    clearTimeout(timer)
    if (made === undefined) return trouble ?? 'GitHub did not answer in time'
    return setStatus(github, until, made, state, words, runUrl()).then(() => undefined, said)
  }
  return { ended }
}

const said = (error: unknown): string =>
  redact(`${(error as Error).message}; it does not know of this deployment`)

/** `known` gets the deployment's number as soon as there is one. */
async function begin(
  github: GitHub,
  news: News,
  until: number,
  known: (id: number) => void,
): Promise<void> {
  const { environment, verb, release, images, what, commit } = news
  const payload: Payload = { by: 'kgc-stack', verb, release, images }
  const id = await create(github, until, {
    environment,
    ref: commit!,
    payload,
    description: `release ${release}: ${what}`,
  })
  known(id)
  await setStatus(github, until, id, 'in_progress', `release ${release}: ${what}`, runUrl())
  const old = await leftOver(github, until, environment, news.interrupted ?? [])
  await Promise.all(
    old.map(id => setStatus(github, until, id, 'error', 'interrupted; its process was killed')),
  )
}

/** Nothing was to do: GitHub is told only if it does not know yet that this commit serves, with these images. Out: a warning, if any. */
export async function announceSame(
  news: News,
  github = gitHub(),
  limit = patience,
): Promise<string | undefined> {
  if (!github || !isCommit(news.commit)) return undefined
  const until = Date.now() + limit
  try {
    const last = await recorded(github, until, news.environment, news.commit!)
    if (
      last?.state === 'success' &&
      !otherDigests(last.payload.images, Object.entries(news.images)).length
    )
      return undefined
    const left = until - Date.now()
    return await announce(news, github, left)?.ended(
      'success',
      short(`release ${news.release} serves, nothing was to do`),
      left,
    )
  } catch (error) {
    return said(error)
  }
}
