// What pods say that are waited for.
import { kubectl } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { hideNew } from '../deploy/secrets.ts'
import { lastSaid } from '../listen.ts'
import type { Rollout } from './verdict.ts'

/** The last line of each one's log, `its log: …`, without what their Secrets hold by now; '' of who says nothing. */
export async function ask(place: Place, all: NonNullable<Rollout['speaks']>[]): Promise<string[]> {
  await hideNew(place)
  return Promise.all(
    all.map(async ({ pod, container }) => {
      const { code, stdout } = await kubectl(
        place,
        ['logs', pod, '--container', container, '--tail', '5'],
        { nothrow: true, timeout: 3_000 },
      )
      const line = code === 0 ? lastSaid(stdout) : ''
      return line && `its log: ${line}`
    }),
  )
}
