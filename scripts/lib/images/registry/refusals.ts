// What a registry refuses, in its own words or Docker's, as a Failure that says what to do.
import { RegistryError } from './errors.ts'
import { parseImage } from '../reference.ts'
import { Failure, exit } from '../../errors.ts'
import type { RunOutput } from '../../run.ts'
import { lastLineOf } from '../../text.ts'

/** A registry's no as a refusal that says what to do. */
export async function asRegistryFailure<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RegistryError)
      throw new Failure(exit.refused, what, error.message, { next: adviseAfterRefusal(error) })
    throw error
  }
}

/** What to do after a registry's no; GitHub's has two reasons, of which a workflow meets the second. */
export function adviseAfterRefusal(
  { message, status }: RegistryError,
  inWorkflow = process.env.GITHUB_ACTIONS === 'true',
): string {
  if (status === 401 || status === 403) {
    const right = /(\w+:packages)/.exec(message)?.[1] ?? 'more rights'
    const token = `a token with ${right}, then docker login --password-stdin`
    if (!message.startsWith('ghcr.io ')) return token
    const link =
      "the package's settings on GitHub, Manage Actions access: add this repository with the role Write"
    return inWorkflow
      ? `${link} (it was pushed by somebody else first); else packages: write in the job's permissions`
      : `${token}; in a workflow: ${link}`
  }
  if (status === 507 || /no space/.test(message))
    return "free space on the registry's disk, then the same command: uploaded layers are not sent again"
  return 'the same command again: uploaded layers are not sent again'
}

/** What Docker says of a push that failed, as the registry's no that it is. */
export function parsePushError(
  name: string,
  { stdout, stderr }: Pick<RunOutput, 'stdout' | 'stderr'>,
): RegistryError {
  const { host } = parseImage(name)
  const text = `${stdout}\n${stderr}`
  const last = lastLineOf(stderr) || lastLineOf(stdout) || 'it failed'
  if (/no space left|\b507\b|insufficient storage/i.test(text))
    return new RegistryError(`no space left: ${last}`, 507)
  if (
    /unauthorized|denied|insufficient_scope|no basic auth|authentication required|\b40[13]\b/i.test(
      text,
    )
  )
    return new RegistryError(`${host} denies it: the login lacks write:packages (${last})`, 403)
  if (/toomanyrequests|\b429\b/i.test(text))
    return new RegistryError(`${host} has had too many requests (429)`, 429)
  // Docker has tried each layer five times by then, for 50 seconds
  if (/Retrying in/.test(text))
    return new RegistryError(
      `${last}; Docker has tried five times: see the log and the disk of ${host}`,
      400,
    )
  const passing =
    /\b5\d\d\b|refused|reset|broken pipe|\bEOF\b|time-?out|no such host|misbehaving|unreachable|unavailable|cancell?ed/i
  return new RegistryError(last, passing.test(text) ? 0 : 400)
}
