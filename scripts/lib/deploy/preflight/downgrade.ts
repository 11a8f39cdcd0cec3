// Whether a change would replace what serves by something older: a run started again, an older
// checkout, an older tag.
import { resolve } from 'node:path'
import { color, say } from '../../report.ts'
import { parseImage } from '../../images/reference.ts'
import { dockerFolder } from '../../repository.ts'
import { run } from '../../run.ts'
import type { PreflightProblems } from './problems.ts'
import { findCurrentRelease, type Release } from '../../kubernetes/releases.ts'
import { describeMigratedSchemas } from '../verify/schema-compatibility.ts'

/** A change that is not known to be newer than what serves. */
export interface DowngradeWarning {
  /** It is known to be older; else that cannot be told. */
  older: boolean
  words: string
}

/** How one commit stands to another, as a repository's history tells. */
export async function compareCommits(
  folder: string,
  ours: string,
  theirs: string,
): Promise<'older' | 'newer' | 'apart' | 'unknown'> {
  const git = async (...argv: string[]) =>
    run(['git', '-C', folder, ...argv], { nothrow: true, timeout: 60_000 })
  const isAncestor = async (a: string, b: string) =>
    (await git('merge-base', '--is-ancestor', a, b)).code
  const [older, newer, shallow] = await Promise.all([
    isAncestor(ours, theirs),
    isAncestor(theirs, ours),
    git('rev-parse', '--is-shallow-repository'),
  ])
  if (older === 0) return 'older'
  if (newer === 0) return 'newer'
  // where the history is cut off, two of its commits may be related and not look so
  return older === 1 && newer === 1 && shallow.stdout.trim() === 'false' ? 'apart' : 'unknown'
}

const shortenCommit = (commit: string) =>
  /^[0-9a-f]{40}$/.test(commit) ? commit.slice(0, 12) : commit
const stripDirtySuffix = (commit: string | undefined) => commit?.replace(/-dirty$/, '')

/**
 * What a deploy is of: this repository's commit, and the tag that images get, with the folder where
 * its commits are, if that is here.
 */
export interface RequestedVersion {
  commit: string | undefined
  tag?: string | undefined
  /** The images that get it, without a tag. */
  names: string[]
  source?: string | undefined
}

/** What speaks against a deploy's commit and tag; releases are given newest first. */
export async function findDowngrades(
  { commit, tag, names, source }: RequestedVersion,
  history: Release[],
): Promise<DowngradeWarning[]> {
  const last = findCurrentRelease(history)
  if (!last) return []
  const before = history
    .slice(history.indexOf(last) + 1)
    .filter(({ ending }) => ending === 'succeeded')
  const judge = async (
    what: string,
    ours: string | undefined,
    now: string,
    folder: string | undefined,
    has: (release: Release) => boolean,
  ): Promise<DowngradeWarning[]> => {
    if (ours === now) return []
    const serves = `release ${last.number} serves, of ${what} ${shortenCommit(now)}`
    if (!ours) return [{ older: false, words: `${serves}; the ${what} to deploy is not known` }]
    const old = before.find(has)
    if (old)
      return [
        {
          older: true,
          words: `${serves}; ${shortenCommit(ours)} served before it, in release ${old.number}; ${describeSchemas(last, old)}`,
        },
      ]
    const found = folder ? await compareCommits(folder, ours, now) : 'unknown'
    if (found === 'older')
      return [
        {
          older: true,
          words: `${serves}; ${shortenCommit(ours)} is older, an ancestor of it; ${describeSchemas(last)}`,
        },
      ]
    return found === 'unknown'
      ? [
          {
            older: false,
            words: `${serves}; it is not known whether ${shortenCommit(ours)} is older; ${describeSchemas(last)}`,
          },
        ]
      : []
  }
  const [ours, now] = [stripDirtySuffix(commit), stripDirtySuffix(last.commit)]
  const tags = tag
    ? Object.keys(last.images)
        .map(image => parseImage(image))
        .filter(({ name }) => names.includes(name))
    : []
  const other = tags.find(one => one.tag && one.tag !== tag)
  const hadTag = (release: Release) =>
    Object.keys(release.images).some(image => image === `${other!.name}:${tag}`)
  return [
    ...(now
      ? await judge(
          'commit',
          ours,
          now,
          dockerFolder,
          release => stripDirtySuffix(release.commit) === ours,
        )
      : []),
    ...(other
      ? await judge('tag', tag, other.tag!, source && resolve(dockerFolder, source), hadTag)
      : []),
  ]
}

/**
 * Refuses a deploy of what is older, or may be, unless `again` says why it is meant. Out: what is
 * asked before it begins, where somebody is at the terminal and nothing but that is in the way.
 */
export async function refuseDowngrade(
  wanted: RequestedVersion,
  history: Release[],
  refusals: PreflightProblems,
  again: string | undefined,
  terminal = Boolean(process.stdin.isTTY),
): Promise<string[]> {
  const all = await findDowngrades(wanted, history)
  if (again !== undefined) {
    for (const { words } of all) say(color.yellow(`  ${words} (--again: ${again})`))
    return []
  }
  const ask = terminal && !all.some(({ older }) => older)
  if (!ask)
    refusals.add(
      ...all.map(
        ({ words }) =>
          `${words}; to go back use rollback.ts; to deploy it anyway: --again --reason "…"`,
      ),
    )
  else for (const { words } of all) say(color.yellow(`  ${words}`))
  return ask ? all.map(({ words }) => words) : []
}

/** How far the databases are, and since when. */
function describeSchemas({ heads = {} }: Release, old?: Release): string {
  const moved = old ? describeMigratedSchemas(old.heads, heads) : []
  if (moved.length) return `its databases have been migrated since: ${moved.join('; ')}`
  const now = Object.entries(heads).map(([folder, head]) => `${folder} ${head}`)
  return now.length
    ? `its databases are at: ${now.join('; ')}`
    : 'the schema versions of its databases are not recorded'
}
