// What a registry's refusals mean.
import type { Response } from 'node-fetch'
import { describeNetworkCode } from '../../http.ts'
import { parseRetryAfter } from '../../retry.ts'

/** A registry's no. */
export class RegistryError extends Error {
  /** HTTP's; 0 when there was no answer. */
  readonly status: number
  /** Seconds after which it wants to be asked again. */
  readonly retryAfterSeconds: number | undefined
  /** Whether the same call may work later. */
  readonly passing: boolean

  constructor(message: string, status: number, wait?: number) {
    super(message)
    this.status = status
    this.retryAfterSeconds = wait
    this.passing = status === 0 || status === 429 || (status >= 500 && status !== 507)
  }
}

/**
 * What a call needs, in the words of GitHub's tokens; other registries say pull, push and delete.
 */
const gitHubScopes: Record<string, string> = {
  GET: 'read:packages',
  HEAD: 'read:packages',
  DELETE: 'delete:packages',
}
export const loginHint = (host: string, login?: string): string =>
  login ? '' : `; there is no login: docker login ${host}`

/** Why a registry does not do what it was asked. */
export async function readRefusal(
  host: string,
  method: string,
  answer: Response,
  login?: string,
): Promise<RegistryError> {
  const { status } = answer
  const said = readErrorMessage(await answer.text().catch(() => ''))
  const words: Record<number, string> = {
    404: `it is not in ${host}`,
    405: `${host} does not allow ${method === 'DELETE' ? 'deleting' : 'this'} (405)`,
    407: `the proxy before ${host} wants a login (407): HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT`,
    429: `${host} has had too many requests (429)`,
    507: `${host} has no space left (507)`,
  }
  const denied = `${host} denies it (${status}${said}): the login lacks ${gitHubScopes[method] ?? 'write:packages'}${loginHint(host, login)}`
  const wait = parseRetryAfter(answer.headers.get('retry-after')) / 1000 || undefined
  return new RegistryError(
    words[status] ??
      (status === 401 || status === 403 ? denied : `${host} answers ${status}${said}`),
    status,
    wait,
  )
}

/** The registry's own words, of its error document. */
function readErrorMessage(body: string): string {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: string; message?: string }[] }
    const words = [
      errors?.[0]?.message ?? errors?.[0]?.code,
      /no space left on device/.exec(body)?.[0],
    ].filter(Boolean)
    return words.length ? `, ${words.join(': ')}` : ''
  } catch {
    return ''
  }
}

/** A call that was not answered. */
export function toUnreachableError(host: string, error: Error): RegistryError {
  if (error.name === 'AbortError')
    return new RegistryError(`${host} does not answer within 10 s`, 0)
  const { code } = error as NodeJS.ErrnoException
  return code
    ? new RegistryError(`${host} cannot be reached (${describeNetworkCode(code)})`, 0)
    : new RegistryError(error.message, 400)
}
