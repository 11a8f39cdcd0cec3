// The steps of a change to an environment that write to it or look at it.
import { Failure, exit } from '../errors.ts'
import { resourceId } from '../kubernetes/objects.ts'
import { findCurrentRelease } from '../kubernetes/releases.ts'
import { refreshRedaction } from '../kubernetes/secret-values.ts'
import { color, say } from '../report.ts'
import { isWorkload, type RolloutOptions } from '../rollout/wait.ts'
import { trackApplied } from './applied-objects.ts'
import { findLateServers } from './rotation/late-servers.ts'
import { findTouchedServers, letInDuring, restartLateServers } from './rotation/step.ts'
import { createRolloutOptions, isNoChange, type Change } from './change.ts'
import { fetchSchemaVersions } from './verify/schema-versions.ts'
import { isKnownFailure, isPreexistingFailure, verifyRelease } from './verify/verify.ts'

/** Applies what differs, but for servers that restart later. Out: how the rollout is waited for. */
export async function applyChange(change: Change): Promise<RolloutOptions> {
  const { plan, facts } = change
  const names = [...plan.created, ...plan.changed]
  // what was sealed for a change that did not come to its end may not be open yet
  const again = ['interrupted', 'broken'].includes(facts.history[0]?.ending ?? '')
    ? ['SealedSecret']
    : []
  const objects = facts.manifests.filter(
    one => one.kind !== 'Job' && (names.includes(resourceId(one)) || again.includes(one.kind)),
  )
  const settled = !names.length && !plan.jobs.length
  const wait = createRolloutOptions(change, settled, facts.manifests, objects)
  const servers = findTouchedServers(facts.manifests, objects)
  const late = findLateServers(objects, facts.live)
  change.rotation.late = late
  if (servers.length) change.rotation.pods = change.target.passwords.watchPods()
  await change.target.apply.change(
    wait,
    objects.filter(one => !late.includes(one)),
    plan.jobs,
    trackApplied(change),
    letInDuring(change, servers),
  )
  change.reached = 'applied'
  return wait
}

/** Waits until every workload is ready. Out: how long it must stay so is counted from when. */
export async function watchChange(
  { target, facts }: Change,
  wait: RolloutOptions,
): Promise<RolloutOptions> {
  await target.watch({ ...wait, stableMs: 0 }, facts.manifests.filter(isWorkload))
  return wait.podsUndisturbed ? wait : { ...wait, readySince: Date.now() }
}

/** Restarts the servers that wait for all that reads their password, and waits until they are ready. */
export async function restartServers(change: Change): Promise<RolloutOptions> {
  return watchChange(change, await restartLateServers(change))
}

/**
 * Asks the product whether it works, while all must stay ready. Checks that failed in the release
 * that serves do not count, nor what the release that is restored has never passed: a check may be
 * younger.
 */
export async function smokeTestChange(change: Change, wait: RolloutOptions): Promise<void> {
  const { environment, facts, release, source } = change
  const last = findCurrentRelease(facts.history)
  const target = 'release' in source ? change.chooseRelease(facts.history) : undefined
  const excused = (name: string) =>
    isPreexistingFailure(facts.history, name) || Boolean(target && isKnownFailure(target, name))
  // all that migrates has done so by now
  const [all, reached] = await Promise.all([
    verifyRelease(change.target, wait, facts.manifests, excused),
    isNoChange(change) ? {} : fetchSchemaVersions(change.target, facts.manifests),
  ])
  const failed = all.filter(({ ok }) => !ok)
  Object.assign(release, {
    checks: all.map(({ name }) => name),
    failing: failed.map(({ name }) => name),
    heads: reached,
  })
  if (failed.length) await refreshRedaction(environment)
  const old = failed.filter(({ name }) => excused(name))
  const before = target ?? last
  for (const { name, detail } of old)
    say(
      color.yellow(
        `  ${name}: ${detail.split('\n')[0]} (${before ? `not passed in release ${before.number} either` : 'nothing served before'})`,
      ),
    )
  const bad = failed.filter(one => !old.includes(one))
  if (bad.length)
    throw new Failure(
      exit.broken,
      `Smoke ${environment.name}`,
      `${bad.length} checks fail although everything is ready: ${bad.map(({ name }) => name).join(', ')}`,
      {
        evidence: bad.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
        next: `npx zx scripts/smoke.ts ${environment.name} --target kubernetes`,
      },
    )
  change.reached = 'verified'
}
