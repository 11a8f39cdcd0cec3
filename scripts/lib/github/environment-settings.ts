// Compares what a GitHub environment holds with what the workflows use; by name, values are never
// read.
import { parse } from 'dotenv'
import { readEnvText } from '../env/files.ts'
import { Failure, exit } from '../errors.ts'
import { requestGitHub, readGitHubRepository, type GitHubRepository } from './client.ts'
import type { SettingKind, WorkflowSetting } from './workflow-settings.ts'
import { hasCommand, run } from '../run.ts'
import { toWebAddress } from '../images/build/source.ts'

/** `repository`: every workflow sees it, not only the environment's. */
export type SettingState = 'set' | 'repository' | 'missing' | 'not set' | 'unknown'
interface Setting {
  kind: SettingKind
  name: string
  state: SettingState
}

/**
 * The repository, and a token from GITHUB_TOKEN, GH_TOKEN or gh's own login. Throws Failure
 * (refused) without one.
 */
export async function requireGitHubRepository(root: string): Promise<GitHubRepository> {
  const what = 'Ask GitHub'
  const remote = (await run(['git', '-C', root, 'remote', 'get-url', 'origin'], { nothrow: true }))
    .stdout
  const repository =
    process.env.GITHUB_REPOSITORY || /[^/]+\/[^/]+$/.exec(toWebAddress(remote))?.[0]
  if (!repository)
    throw new Failure(exit.refused, what, 'git knows no remote "origin"', {
      next: 'set GITHUB_REPOSITORY to <owner>/<name>',
    })
  const { GITHUB_TOKEN, GH_TOKEN } = process.env
  const login =
    GITHUB_TOKEN ||
    GH_TOKEN ||
    ((await hasCommand('gh'))
      ? (await run(['gh', 'auth', 'token'], { nothrow: true })).stdout.trim()
      : '')
  const github = readGitHubRepository({
    ...process.env,
    GITHUB_REPOSITORY: repository,
    GITHUB_TOKEN: login,
  })
  if (!github)
    throw new Failure(exit.refused, what, 'there is no token', {
      next: 'gh auth login, or set GITHUB_TOKEN; then the same command again',
    })
  return github
}

interface StoredSettings {
  /** Whether GitHub has the environment. */
  made: boolean
  /** `secret NAME`, `variable NAME`. */
  own: Set<string>
  repository: Set<string>
}

/**
 * What is there. Throws Failure (refused) when GitHub does not say; `evidence` is what is known
 * without it.
 */
export async function fetchStoredSettings(
  github: GitHubRepository,
  name: string,
  evidence: string,
): Promise<StoredSettings> {
  const { owner, repo } = github
  const until = Date.now() + 10_000
  const right = 'to read environments, secrets and variables'
  const list = async (path: string, prefix = '') => {
    const pages = (octokit: import('@octokit/rest').Octokit) =>
      octokit.paginate(`GET /repos/${owner}/${repo}/${path}`, { per_page: 100 })
    const all = await requestGitHub(
      github,
      until,
      async octokit => ({ data: (await pages(octokit)) as { name: string }[] }),
      right,
    )
    return all.map(({ name }) => prefix + name)
  }
  try {
    const made = (await list('environments')).includes(name)
    const environment = `environments/${encodeURIComponent(name)}`
    const both = async (path: string) =>
      new Set(
        (
          await Promise.all([
            list(`${path}/secrets`, 'secret '),
            list(`${path}/variables`, 'variable '),
          ])
        ).flat(),
      )
    const [own, repository] = await Promise.all([
      made ? both(environment) : new Set<string>(),
      both('actions'),
    ])
    return { made, own, repository }
  } catch (error) {
    const next = `npx zx scripts/env.ts --github ${name}, in a few minutes`
    throw new Failure(exit.refused, `Ask GitHub for ${owner}/${repo}`, (error as Error).message, {
      evidence,
      next,
    })
  }
}

/** What is to be said of each name. Pure. */
export function compareSettings(
  wanted: WorkflowSetting[],
  { own, repository }: Pick<StoredSettings, 'own' | 'repository'>,
): Setting[] {
  const stateOf = ({ kind, name, required }: WorkflowSetting): SettingState => {
    const key = `${kind} ${name}`
    if (own.has(key)) return 'set'
    if (repository.has(key)) return 'repository'
    return required ? 'missing' : 'not set'
  }
  const settings = wanted.map((one): Setting => {
    const { kind, name } = one
    return { kind, name, state: stateOf(one) }
  })
  const extra = [...own]
    .map(key => key.split(' ') as [SettingKind, string])
    .filter(([kind, name]) => !wanted.some(one => one.kind === kind && one.name === name))
  return [...settings, ...extra.map(([kind, name]): Setting => ({ kind, name, state: 'unknown' }))]
}

/**
 * The command that puts a setting in order; undefined when it needs none. A value goes through a
 * pipe, from the env file that has it.
 */
export function createSettingCommand(
  setting: Setting,
  one: WorkflowSetting | undefined,
  environment: string,
  repository: string,
): string | undefined {
  const { kind, name, state } = setting
  const at = `${name} --env ${environment} --repo ${repository}`
  if (state === 'unknown') return `gh ${kind} delete ${at}`
  if (state !== 'missing' && state !== 'not set') return undefined
  const value = one?.source && parse(readEnvText(one.source.path) ?? '')[name]
  if (value)
    return `sed -n 's/^${name}=//p' ${one!.source!.name} | tr -d '\\n' | gh ${kind} set ${at}`
  return state === 'missing' ? `gh ${kind} set ${at} < FILE` : undefined
}
