// git as the forks use it: it never asks for a login, and says what it could not do.
import { Failure, exit } from '../errors.ts'
import { redact } from '../redact.ts'
import { run, type RunOutput } from '../run.ts'

/** What a hook or a shell may have set, and would send git to another repository than the folder's. */
const elsewhere = ['GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE', 'GIT_PREFIX']
const quiet = { GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' }

/** Runs git in a folder; it may fail. */
export function callGit(folder: string, argv: string[], timeout = 1_800_000): Promise<RunOutput> {
  const without = elsewhere.flatMap(name => ['-u', name])
  return run(['env', ...without, 'git', '-C', folder, ...argv], {
    nothrow: true,
    timeout,
    env: quiet,
  })
}

/** What git prints; undefined when it fails. */
export async function tryGit(folder: string, argv: string[]): Promise<string | undefined> {
  const { code, stdout } = await callGit(folder, argv)
  return code === 0 ? stdout.trim() : undefined
}

/** The line of what git said that tells why it failed. */
const findCause = (said: string): string | undefined => /^(?:fatal|error): (.*)$/m.exec(said)?.[1]

function adviseOn(said: string): string | undefined {
  if (/could not read (Username|Password)|Authentication failed|Permission denied/.test(said))
    return 'gh auth setup-git, or another login for git; then the same command again'
  return /Could not resolve host|Failed to connect|timed out|unable to access/.test(said)
    ? 'the same command again, where that address can be reached'
    : undefined
}

/** What git prints. Throws Failure (refused) with what it said. */
export async function runGit(folder: string, argv: string[], what?: string): Promise<string> {
  const done = await callGit(folder, argv)
  if (done.code === 0) return done.stdout.trim()
  const said = redact(`${done.stdout}\n${done.stderr}`.trim()).replace(/\/\/[^/@\s]*@/g, '//')
  const next = adviseOn(said)
  throw new Failure(
    exit.refused,
    what ?? `Run git ${argv[0]} in ${folder}`,
    findCause(said) ?? `git ended with ${done.code}`,
    { evidence: said.split('\n').slice(-12).join('\n'), ...(next ? { next } : {}) },
  )
}
