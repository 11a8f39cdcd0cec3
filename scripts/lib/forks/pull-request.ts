// The pull request of a bump: its text, and how it is opened.
import type { GitHubRepository } from '../github/client.ts'
import type { Fork } from './definition.ts'
import { askGitHub, findReleaseNotes, type Repository } from './github.ts'
import type { MergedRelease } from './bump/merge.ts'
import type { ReleasedImage } from './bump/rewrite.ts'
import { parseRepositoryAddress } from './submodules.ts'
import type { ReleaseTag } from './upstream-tags.ts'

/** GitHub takes bodies of up to 65,536 characters; what stands round the notes needs some. */
const maxNotesLength = 60_000

/**
 * Somebody else's text as it may stand in a pull request: it names nobody and links to no issue,
 * whom GitHub would tell of it. Pure.
 */
export function quoteNotes(text: string): string {
  const inert = text
    .replace(/https:\/\/github\.com\//g, 'https://redirect.github.com/')
    .replace(/@(?=\w)/g, '@\u200b')
    .replace(/(#|\bGH-)(?=\d)/gi, '$1\u200b')
    .replace(/<!--|-->/g, '')
  return inert.length > maxNotesLength ? `${inert.slice(0, maxNotesLength)}\n… (cut off)` : inert
}

/** What a bump's pull request says. */
export async function describeBump(
  github: GitHubRepository,
  fork: Fork,
  release: ReleaseTag,
  { commit, branch, ownCommits }: MergedRelease,
  { image, digest, why }: ReleasedImage,
): Promise<string> {
  const upstream = parseRepositoryAddress(fork.upstream)
  const notes = await findReleaseNotes(github, upstream, release.name)
  const own = ownCommits ? `, with ${ownCommits} commits of the fork's own (\`${branch}\`)` : ''
  return [
    `\`${fork.path}\` is \`${commit}\`: \`${release.name}\` (\`${release.commit}\`)${own}.`,
    `The image is \`${image}${digest ? `@${digest}` : ''}\`${digest ? '' : ` without a digest: ${why}. \`images.ts pins --write\` adds it`}.`,
    notes
      ? `### Notes of ${release.name}\n${quoteNotes(notes.body)}`
      : `Upstream has published no notes for \`${release.name}\`.`,
  ].join('\n\n')
}

interface PullRequest {
  branch: string
  title: string
  body: string
}

/** Opens the pull request, or finds the one that is open for the branch. Out: its address. */
export async function openPullRequest(
  github: GitHubRepository,
  { default_branch: base }: Repository,
  { branch, title, body }: PullRequest,
): Promise<string> {
  const { owner, repo } = github
  const right = '`pull_requests: write`'
  const find = () =>
    askGitHub(github, 'Look for the pull request', right, ({ rest }) =>
      rest.pulls.list({ owner, repo, head: `${owner}:${branch}`, state: 'open' }),
    )
  const [there] = await find()
  if (there) return there.html_url
  try {
    const made = await askGitHub(github, `Open a pull request for ${branch}`, right, ({ rest }) =>
      rest.pulls.create({ owner, repo, base, head: branch, title, body }),
    )
    return made.html_url
  } catch (error) {
    // an answer that was lost, or somebody who was faster
    const [made] = await find()
    if (made) return made.html_url
    throw error
  }
}
