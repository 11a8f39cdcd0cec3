// Where an image's source comes from, as git says.
import { run } from '../../run.ts'

export interface ImageSource {
  /**
   * The commit that the image is made of: its repository's, or the last one that changed its
   * folder.
   */
  commit: string
  /** The commit's time, in UTC. */
  created: string
  /** Where the repository is, without a login; '' when it has no remote. */
  url: string
  /** Files that are changed and not committed. */
  changed: string[]
  /** The last commit of the folder is not known: the history is cut off. */
  shallow: boolean
}

/** The address that people open, of a remote: without a login, a port or `.git`. */
export function toWebAddress(remote: string): string {
  const [, host, path] =
    /^(?:\w+:\/\/)?(?:[^@/]*@)?([^/:]+)(?::\d+(?=\/))?[/:](.+?)(?:\.git)?\/?$/.exec(
      remote.trim(),
    ) ?? []
  return host && !remote.startsWith('/') && !remote.startsWith('.') && !remote.startsWith('file:')
    ? `https://${host}/${path}`
    : ''
}

/** The source in a folder; undefined when it is in no git repository, or has no commit yet. */
export async function readImageSource(folder: string): Promise<ImageSource | undefined> {
  const git = async (...argv: string[]) => {
    const { code, stdout } = await run(['git', '-C', folder, ...argv], {
      nothrow: true,
      timeout: 60_000,
    })
    return code === 0 ? stdout.trim() : undefined
  }
  const prefix = await git('rev-parse', '--show-prefix')
  if (prefix === undefined) return undefined
  const [last, url, changes, shallow] = await Promise.all([
    git('log', '-1', '--format=%H %ct', ...(prefix ? ['--', '.'] : [])),
    git('remote', 'get-url', 'origin'),
    git('status', '--porcelain', '--', '.'),
    git('rev-parse', '--is-shallow-repository'),
  ])
  const [commit, seconds] = (last ?? '').split(' ')
  if (!commit) return undefined
  return {
    commit,
    created: new Date(Number(seconds) * 1000).toISOString().replace('.000', ''),
    url: toWebAddress(url ?? ''),
    changed: (changes ?? '')
      .split('\n')
      .filter(Boolean)
      .map(line => line.slice(2).trim()),
    shallow: Boolean(prefix) && shallow === 'true',
  }
}

export interface GitRef {
  type: 'branch' | 'tag' | ''
  name: string
}

/** What is built from: the workflow's ref, else the branch that is checked out. */
export async function readGitRef(
  folder: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<GitRef> {
  const { GITHUB_REF_TYPE: type, GITHUB_REF_NAME: name } = env
  if (name && (type === 'branch' || type === 'tag')) return { type, name }
  const { stdout } = await run(['git', '-C', folder, 'branch', '--show-current'], { nothrow: true })
  return stdout.trim() ? { type: 'branch', name: stdout.trim() } : { type: '', name: '' }
}
