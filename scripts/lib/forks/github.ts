// What the forks ask GitHub's API for.
import { Failure, exit } from '../errors.ts'
import { requestGitHub, type GitHubRepository } from '../github/client.ts'
import { requireGitHubRepository } from '../github/environment-settings.ts'
import { root } from '../repository.ts'
import type { parseRepositoryAddress } from './submodules.ts'

type Address = ReturnType<typeof parseRepositoryAddress>

/** How long one question may take, with what is tried again (ms). */
const patience = (): number => Number(process.env.KGC_GITHUB_TIMEOUT_MS || 30_000)

/** This repository on GitHub, and the token; without one GitHub still answers what is public. */
export async function findGitHub(): Promise<GitHubRepository> {
  try {
    return await requireGitHubRepository(root)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { owner: '', repo: '', token: '', api: process.env.GITHUB_API_URL || undefined }
  }
}

type Request<T> = Parameters<typeof requestGitHub<T & object>>[2]

/** Asks, and again while GitHub is busy. Throws Failure (refused) with what it answered. */
export async function askGitHub<T>(
  github: GitHubRepository,
  what: string,
  right: string,
  request: Request<T>,
): Promise<T> {
  try {
    return await requestGitHub<T & object>(github, Date.now() + patience(), request, right)
  } catch (error) {
    throw new Failure(exit.refused, what, (error as Error).message, {
      next: 'the same command again, when that is fixed',
    })
  }
}

/** The same; undefined when GitHub answers 404. */
export async function findOnGitHub<T>(
  github: GitHubRepository,
  what: string,
  right: string,
  request: Request<T>,
): Promise<T | undefined> {
  try {
    return await askGitHub(github, what, right, request)
  } catch (error) {
    if (error instanceof Failure && /\banswered 404\b/.test(error.why)) return undefined
    throw error
  }
}

export interface Advisory {
  ghsa_id: string
  severity: string | null
  summary: string
  html_url: string
  vulnerabilities:
    | { vulnerable_version_range: string | null; patched_versions: string | null }[]
    | null
}

/**
 * The advisories that a repository has published, page by page: octokit's own way takes a 409 for an
 * empty list, and no answer must look like no advisory.
 */
export async function listAdvisories(github: GitHubRepository, at: Address): Promise<Advisory[]> {
  const what = `Ask for the advisories of ${at.owner}/${at.repo}`
  const all: Advisory[] = []
  for (let after: string | undefined, page = 0; page < 100; page++) {
    const from = after ? { after } : {}
    const { found, next } = await askGitHub(github, what, 'none', async ({ rest }) => {
      const query = { ...at, ...from, state: 'published' as const, per_page: 100 }
      const { data, headers } = await rest.securityAdvisories.listRepositoryAdvisories(query)
      return { data: { found: data, next: nextCursor(headers.link) } }
    })
    all.push(...found)
    if (!next) break
    after = next
  }
  return all
}

/** The cursor of the next page, in the header `Link`. */
function nextCursor(link = ''): string | undefined {
  const [, url] = /<([^>]+)>;\s*rel="next"/.exec(link) ?? []
  return url ? (new URL(url).searchParams.get('after') ?? undefined) : undefined
}

/** How many commits `head` has that `base` does not have, and the other way round. */
export const compareOnGitHub = (
  github: GitHubRepository,
  at: Address,
  base: string,
  head: string,
): Promise<{ ahead_by: number; behind_by: number } | undefined> =>
  findOnGitHub(github, `Compare commits of ${at.owner}/${at.repo}`, '`contents: read`', octokit =>
    octokit.rest.repos.compareCommitsWithBasehead({
      ...at,
      basehead: `${base}...${head}`,
      per_page: 1,
    }),
  )

/** A release's notes; undefined when upstream has made a tag and no release. */
export async function findReleaseNotes(
  github: GitHubRepository,
  at: Address,
  tag: string,
): Promise<{ body: string; url: string } | undefined> {
  const what = `Ask for the notes of ${tag}`
  const release = await findOnGitHub(github, what, '`contents: read`', octokit =>
    octokit.rest.repos.getReleaseByTag({ ...at, tag }),
  )
  return release && { body: release.body ?? '', url: release.html_url }
}

export interface Repository {
  full_name: string
  private: boolean
  fork: boolean
  default_branch: string
  created_at?: string | null
  parent?: { full_name: string }
  source?: { full_name: string }
}

/** A repository; undefined when there is none that the token may see. */
export const findRepository = (
  github: GitHubRepository,
  at: Address,
): Promise<Repository | undefined> =>
  findOnGitHub<Repository>(
    github,
    `Ask for ${at.owner}/${at.repo}`,
    '`metadata: read`',
    async octokit => ({ data: (await octokit.rest.repos.get(at)).data as Repository }),
  )
