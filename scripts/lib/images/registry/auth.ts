// The login that a registry is asked with.
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fetchWeb } from '../../http.ts'
import { keepSecret } from '../../redact.ts'
import { RegistryError, loginHint } from './errors.ts'
import { run } from '../../run.ts'

export const registryScheme = (host: string): string =>
  /^(localhost|127\.\d+\.\d+\.\d+)(:|$)/.test(host) ? 'http' : 'https'
const encodeLogin = (user: string, password: string) =>
  Buffer.from(`${user}:${password}`).toString('base64')

/**
 * What a registry wants to see, by its challenge: a token from its own server (for `scope`, or what
 * the challenge names), or the login itself: `given`, or this machine's.
 */
export async function fetchAuthorization(
  host: string,
  challenge: string,
  scope?: string,
  given?: string,
): Promise<string> {
  const login = given ?? (await findRegistryLogin(host))
  const basic = login ? `Basic ${login}` : ''
  const part = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1]
  const realm = part('realm')
  if (!/^bearer/i.test(challenge) || !realm) return basic
  const address = new URL(realm)
  if (address.protocol !== 'https:' && registryScheme(address.host) === 'https')
    throw new Error(`${host} asks for its login over an unencrypted connection`)
  for (const [name, value] of Object.entries({
    service: part('service'),
    scope: scope ?? part('scope'),
  }))
    if (value) address.searchParams.set(name, value)
  const answer = await fetchWeb(address, {
    headers: basic ? { authorization: basic } : {},
    signal: AbortSignal.timeout(10_000),
  })
  const { status } = answer
  if (!answer.ok)
    throw new RegistryError(
      `${host} gives no token (${status})${login ? ': its login is refused' : loginHint(host)}`,
      status,
    )
  const { token, access_token } = (await answer.json()) as { token?: string; access_token?: string }
  keepSecret(token ?? access_token)
  return `Bearer ${token ?? access_token}`
}

/** A login in base64: that of `docker login`, or a workflow's own token for GitHub's registry. */
export async function findRegistryLogin(host: string): Promise<string | undefined> {
  const token = process.env.GITHUB_TOKEN
  const login =
    (await readDockerLogin(host)) ??
    (host === 'ghcr.io' && token
      ? encodeLogin(process.env.GITHUB_ACTOR ?? 'token', token)
      : undefined)
  keepSecret(login)
  return login
}

/** The login that `docker login` has left: in its file, or in the helper that the file names. */
export async function readDockerLogin(host: string): Promise<string | undefined> {
  const file = join(process.env.DOCKER_CONFIG || join(homedir(), '.docker'), 'config.json')
  if (!existsSync(file)) return undefined
  const { auths, credsStore, credHelpers } = JSON.parse(readFileSync(file, 'utf8')) as {
    auths?: Record<string, { auth?: string }>
    credsStore?: string
    credHelpers?: Record<string, string>
  }
  const key = host === 'registry-1.docker.io' ? 'https://index.docker.io/v1/' : host
  const helper = credHelpers?.[key] ?? credsStore
  if (!helper) return auths?.[key]?.auth
  const { code, stdout } = await run([`docker-credential-${helper}`, 'get'], {
    input: key,
    nothrow: true,
    timeout: 10_000,
  })
  if (code !== 0) return undefined
  const { Username, Secret } = JSON.parse(stdout) as { Username: string; Secret: string }
  keepSecret(Secret)
  return encodeLogin(Username, Secret)
}
