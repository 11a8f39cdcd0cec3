// A target of a deploy that asks no cluster.
import type { DeployTarget } from '../../scripts/lib/deploy/target.ts'
import { Failure, exit } from '../../scripts/lib/errors.ts'
import { resourceId } from '../../scripts/lib/kubernetes/objects.ts'

/** A target that only notes what it is asked for; `broken`: what is applied does not become ready. */
export function createNotingTarget(calls: string[], broken: boolean): DeployTarget {
  const note = (words: string) => Promise.resolve(void calls.push(words))
  let ready = !broken
  return {
    lock: async (what, version) => {
      await note(`lock ${what} ${version}`)
      return {
        recordPhase: async () => {},
        lossFailure: () => undefined,
        clockOffsetMs: 0,
        release: () => note('unlock'),
      }
    },
    releases: {
      store: ({ number, ending }, how) => note(`${how} release ${number} ${ending}`),
      prune: () => note('prune'),
    },
    apply: {
      change: async (_, objects, __, onApplied) => {
        objects.forEach(one => onApplied(one, 'done'))
        await note(`apply ${objects.map(resourceId).join()}`)
      },
      restore: async ({ objects }, _, onApplied) => {
        objects.forEach(one => onApplied(one, 'done'))
        ready = true
        await note(`restore ${objects.map(resourceId).join()}`)
      },
      remove: objects => note(`remove ${objects.length}`),
    },
    passwords: {
      letIn: async () => [],
      waitForOldReaders: async () => [],
      shutOutOld: async () => {},
      watchPods: () => ({ measure: () => 0, stop: () => {} }),
    },
    watch: async () => {
      await note('watch')
      if (!ready) throw new Failure(exit.broken, 'Watch', 'web: it ends')
    },
    smokeTarget: async () => {
      throw new Failure(exit.refused, 'Smoke', 'nothing to ask')
    },
  }
}
