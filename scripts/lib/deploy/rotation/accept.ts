// Servers let in what their Secrets say before any pod reads it, and nothing else when all pods have
// it. What has to be done is found in the server: an interrupted change leaves nothing to remember.
import type { Environment } from '../../kubernetes/environment.ts'
import type { LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import {
  createServerAccess,
  readCredential,
  type ServerAccess,
} from '../../kubernetes/rotation/access.ts'
import {
  countSessions,
  findOldCredential,
  isLetIn,
  letIn,
  shutOut,
} from '../../kubernetes/rotation/credentials.ts'
import { findPasswordServers, type PasswordServer } from '../../kubernetes/rotation/servers.ts'
import { exit, Failure } from '../../errors.ts'
import { say, warn } from '../../report.ts'
import { waitForOldReaders } from './readers.ts'

/**
 * Makes servers let in what their Secrets say, beside what they let in already. Out: those that had to
 * be changed. Throws Failure (broken) when a server refuses, or when pods that serve would be refused.
 */
export async function letPodsIn(
  environment: Environment,
  servers: PasswordServer[],
  lossFailure: LockLossCheck,
  access = createServerAccess(environment, lossFailure),
): Promise<PasswordServer[]> {
  const changed = await Promise.all(servers.map(one => letPodsInAt(environment, access, one)))
  return servers.filter((_, i) => changed[i])
}

async function letPodsInAt(
  { name: environment }: Environment,
  access: ServerAccess,
  server: PasswordServer,
): Promise<boolean> {
  const credential = await readCredential(access, server)
  if (!credential || (await isLetIn(access.shell, server, credential))) return false
  const { name, password } = server
  const { login } = credential
  if (login && (await countSessions(access.shell, server, login)))
    throw new Failure(
      exit.broken,
      `Let ${name} take the new password`,
      `pods are logged in as ${login} with another one, and would be refused from now on`,
      {
        next: `npx zx scripts/seal.ts ${environment} --rotate ${password.key}, which gives a new one to the other login; commit, and deploy again`,
      },
    )
  await letIn(access.shell, server, credential)
  if (!(await isLetIn(access.shell, server, credential)))
    throw new Failure(
      exit.broken,
      `Let ${name} take the new password`,
      'it is refused all the same',
    )
  say(`  ${name}: the new ${password.key} is let in${login ? `, for ${login}` : ''}`)
  return true
}

/**
 * Makes servers let in nothing but what their Secrets say, after all older pods are gone. What
 * cannot be done is said, and is left to the next deploy.
 */
export async function shutOutOld(
  environment: Environment,
  manifests: Manifest[],
  lossFailure: LockLossCheck,
  access = createServerAccess(environment, lossFailure),
  wait = waitForOldReaders,
): Promise<void> {
  const work = findPasswordServers(manifests).map(async server => {
    const credential = await readCredential(access, server)
    const old = credential && (await findOldCredential(access.shell, server, credential))
    if (!old) return
    const left = await wait(environment, manifests, [server], lossFailure)
    if (left.length) throw new Error(`${left.join(', ')} may still use it`)
    const sessions = credential.login ? await countSessions(access.shell, server, old) : 0
    if (sessions) throw new Error(`${sessions} sessions of ${old} are open`)
    await shutOut(access.shell, server, credential, old)
    say(
      `  ${server.name}: the old ${credential.login ? `login ${old}` : old} is refused from now on`,
    )
  })
  for (const [i, one] of (await Promise.allSettled(work)).entries())
    if (one.status === 'rejected') {
      const { name, password } = findPasswordServers(manifests)[i]!
      const { why, message } = one.reason as Failure
      warn(
        `${name} may let in an older ${password.key}, too (${why ?? message}): the next deploy takes it away`,
      )
    }
}
