// What the Secrets of servers say, and how their containers are reached.
import { keepSecret } from '../../redact.ts'
import type { Environment } from '../environment.ts'
import { createRetryingApi, type LockLossCheck } from '../kubectl-retry.ts'
import { isPodReady, type Manifest, type Pod } from '../objects.ts'
import { findObject } from '../resources.ts'
import {
  createServerShell,
  findOldCredential,
  type Credential,
  type ServerShell,
} from './credentials.ts'
import { findPasswordServers, type PasswordServer } from './servers.ts'

/** How the cluster is asked; tests play it. */
export interface ServerAccess {
  shell: ServerShell
  find: (resource: string, name: string) => Promise<Manifest | undefined>
}

export const createServerAccess = (
  environment: Environment,
  lossFailure?: LockLossCheck,
): ServerAccess => ({
  shell: createServerShell(environment),
  find: (resource, name) =>
    findObject(environment, resource, name, { ask: createRetryingApi(lossFailure) }),
})

/** What the Secret of a server says now; undefined when it says nothing, or the server is not ready. */
export async function readCredential(
  { find }: ServerAccess,
  { pod, password, login }: PasswordServer,
): Promise<Credential | undefined> {
  const names = [password.secret, ...(login && 'secret' in login ? [login.secret] : [])]
  const [live, ...secrets] = await Promise.all([
    find('v1/pods', pod),
    ...[...new Set(names)].map(name => find('v1/secrets', name)),
  ])
  if (!live || !isPodReady(live as unknown as Pod)) return undefined
  const valueOf = (secret: string, key: string) => {
    const text = secrets.find(one => one?.metadata.name === secret)?.data?.[key] as string
    return text ? Buffer.from(text, 'base64').toString() : undefined
  }
  const value = valueOf(password.secret, password.key)
  keepSecret(value)
  if (!value || !login) return value ? { password: value } : undefined
  const name = 'value' in login ? login.value : valueOf(login.secret, login.key)
  return name && /^\w+$/.test(name) ? { login: name, password: value } : undefined
}

/** The keys of passwords of which their servers let in an older one, too; what cannot be asked is left out. */
export async function findOldPasswords(
  manifests: Manifest[],
  access: ServerAccess,
): Promise<string[]> {
  const asked = findPasswordServers(manifests).map(async server => {
    const credential = await readCredential(access, server)
    const old = credential && (await findOldCredential(access.shell, server, credential))
    return old ? [`${server.password.key} of ${server.name}`] : []
  })
  return (await Promise.all(asked.map(one => one.catch(() => [] as string[])))).flat()
}
