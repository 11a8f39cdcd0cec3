// What a change does for passwords of servers: none is refused while it works, and the old one is in
// the end.
import { resourceId, selectWorkloads, type Manifest } from '../../kubernetes/objects.ts'
import {
  findPasswordServers,
  readsSecretKey,
  type PasswordServer,
} from '../../kubernetes/rotation/servers.ts'
import { emit, say, table, warn } from '../../report.ts'
import type { RolloutOptions } from '../../rollout/wait.ts'
import { trackApplied, trackRestored } from '../applied-objects.ts'
import { isSecret } from '../apply/unseal.ts'
import { createRolloutOptions, type Change } from '../change.ts'

/** The servers of a release whose Secret, or themselves, are among the objects that are applied. */
export const findTouchedServers = (manifests: Manifest[], applied: Manifest[]): PasswordServer[] =>
  findPasswordServers(manifests).filter(({ name, password }) =>
    applied.some(
      one =>
        resourceId(one) === `StatefulSet ${name}` ||
        (isSecret(one) && one.metadata.name === password.secret),
    ),
  )

/** What makes these servers let in what their Secrets say; it notes in the change what it had to do. */
export const letInDuring =
  (change: Change, servers: PasswordServer[]): (() => Promise<void>) =>
  async () => {
    if (!servers.length) return
    const { target, lock } = change
    change.rotation.changed.push(...(await target.passwords.letIn(servers, lock.lossFailure)))
  }

/** Waits until no older pod can come to these servers any more; says which may. */
async function waitForReaders(
  { target, lock }: Pick<Change, 'target' | 'lock'>,
  manifests: Manifest[],
  late: Manifest[],
): Promise<void> {
  const servers = findTouchedServers(manifests, late)
  const left = await target.passwords.waitForOldReaders(manifests, servers, lock.lossFailure)
  if (left.length) warn(`${left.join(', ')} would not end: what they ask may be refused`)
}

/** Restarts the servers that begin with the new password alone. Out: how they are waited for. */
export async function restartLateServers(change: Change): Promise<RolloutOptions> {
  const { facts, rotation, target } = change
  await waitForReaders(change, facts.manifests, rotation.late)
  const wait = createRolloutOptions(change, false, facts.manifests, rotation.late)
  await target.apply.change(wait, rotation.late, [], trackApplied(change))
  return wait
}

/** The same for the servers of a release that has come back but for them. */
export async function restoreLateServers(
  change: Change,
  manifests: Manifest[],
  late: Manifest[],
): Promise<void> {
  await waitForReaders(change, manifests, late)
  const plan = { objects: late, applied: [], orphans: [] }
  await change.target.apply.restore(plan, change.lock.lossFailure, trackRestored(change))
}

/** Takes old passwords away, and says how long each service was away for the new ones. */
export async function endRotation({
  target,
  lock,
  facts,
  rotation,
}: Pick<Change, 'target' | 'lock' | 'facts' | 'rotation'>): Promise<void> {
  await target.passwords.shutOutOld(facts.manifests, lock.lossFailure)
  const { changed, pods } = rotation
  if (!changed.length || !pods) return
  const readers = selectWorkloads(facts.manifests).filter(
    one =>
      one.kind !== 'Job' &&
      changed.some(({ password: { secret, key } }) => readsSecretKey(one, secret, key)),
  )
  const gaps = readers.map(({ metadata: { name } }) => ({ service: name, ms: pods.measure(name) }))
  emit('rotated', { keys: changed.map(({ password }) => password.key), gaps })
  const rows = gaps.map(({ service, ms }) => [service, ms ? `${(ms / 1000).toFixed(1)} s` : '-'])
  for (const line of table([['service', 'away'], ...rows]).split('\n')) say(`  ${line}`)
}
