// Asks image registries what a name stands for (the OCI distribution API); nothing is pulled.
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { keepSecret } from './redact.ts'

export interface Image {
  /** The registry's host, as it is asked. */
  host: string
  /** The name as it stands in the manifest, without tag and digest. */
  name: string
  repository: string
  tag?: string
  digest?: string
}

/** Reads `host/name:tag@digest`; Docker Hub is left out in names, and its official images are under library/. */
export function parseImage(text: string): Image {
  const [, name = text, tag, digest] = /^(.+?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text) ?? []
  const [first = '', ...rest] = name.split('/')
  const named = rest.length > 0 && /[.:]|^localhost$/.test(first)
  const repository = named ? rest.join('/') : rest.length ? name : `library/${name}`
  return { host: named && first !== 'docker.io' ? first : 'registry-1.docker.io', name, repository, ...(tag ? { tag } : {}), ...(digest ? { digest } : {}) }
}

const types = ['oci.image.index.v1', 'oci.image.manifest.v1', 'docker.distribution.manifest.list.v2', 'docker.distribution.manifest.v2']
const accept = types.map(type => `application/vnd.${type}+json`).join(', ')
const limit = () => ({ signal: AbortSignal.timeout(10_000) })
const scheme = (host: string) => (/^(localhost|127\.\d+\.\d+\.\d+)(:|$)/.test(host) ? 'http' : 'https')

/** The digest that an image has in its registry. Throws Error that says in words why there is none. */
export async function digestOf(image: string): Promise<string> {
  const { host, repository, tag = 'latest', digest } = parseImage(image)
  const address = `${scheme(host)}://${host}/v2/${repository}/manifests/${digest ?? tag}`
  try {
    let answer = await fetch(address, { method: 'HEAD', headers: { accept }, ...limit() })
    const challenge = answer.headers.get('www-authenticate') ?? ''
    if (answer.status === 401)
      answer = await fetch(address, { method: 'HEAD', headers: { accept, authorization: await authorization(host, challenge) }, ...limit() })
    const found = answer.headers.get('docker-content-digest')
    if (answer.ok && (digest ?? found)) return (digest ?? found)!
    if (answer.status === 404) throw new Error(`it is not in ${host}`)
    if (answer.status === 401 || answer.status === 403)
      throw new Error(`${host} denies it (${answer.status})${credentials(host) ? '' : `; there is no login: docker login ${host}`}`)
    throw new Error(`${host} answers ${answer.status}`)
  } catch (error) {
    throw new Error(words(host, error as Error))
  }
}

function words(host: string, error: Error): string {
  if (error.name === 'TimeoutError') return `${host} does not answer within 10 s`
  const cause = error.cause as NodeJS.ErrnoException | undefined
  return cause ? `${host} cannot be reached (${cause.code ?? cause.message})` : error.message
}

/** What a registry wants to see, by its challenge: a token from its own server, or the login itself. */
async function authorization(host: string, challenge: string): Promise<string> {
  const login = credentials(host)
  const basic = login ? `Basic ${login}` : ''
  const part = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1]
  const realm = part('realm')
  if (!/^bearer/i.test(challenge) || !realm) return basic
  const address = new URL(realm)
  if (address.protocol !== 'https:' && scheme(address.host) === 'https') throw new Error(`${host} wants its login sent unencrypted`)
  for (const name of ['service', 'scope']) if (part(name)) address.searchParams.set(name, part(name)!)
  const answer = await fetch(address, { headers: basic ? { authorization: basic } : {}, ...limit() })
  if (!answer.ok) throw new Error(`${host} gives no token (${answer.status})${login ? ': its login is refused' : `; there is no login: docker login ${host}`}`)
  const { token, access_token } = (await answer.json()) as { token?: string; access_token?: string }
  keepSecret(token ?? access_token)
  return `Bearer ${token ?? access_token}`
}

/** The login that `docker login` has left, or a workflow's own token for GitHub's registry. */
function credentials(host: string): string | undefined {
  const file = join(process.env.DOCKER_CONFIG || join(homedir(), '.docker'), 'config.json')
  const auths = existsSync(file) ? ((JSON.parse(readFileSync(file, 'utf8')) as { auths?: Record<string, { auth?: string }> }).auths ?? {}) : {}
  const own = auths[host === 'registry-1.docker.io' ? 'https://index.docker.io/v1/' : host]?.auth
  const token = process.env.GITHUB_TOKEN
  const login = own || (host === 'ghcr.io' && token ? Buffer.from(`${process.env.GITHUB_ACTOR ?? 'token'}:${token}`).toString('base64') : undefined)
  keepSecret(login)
  return login
}
