// The phase that says what a change will do.
import type { Change } from './change.ts'
import { kubectl, type Manifest } from '../cluster/cluster.ts'
import { Failure, exit } from '../errors.ts'
import { readDiff, removals, seatBelt, title } from './manifests.ts'
import type { Place } from '../cluster/place.ts'
import { leftBy, serving, type Stored } from './release.ts'
import { emit, say } from '../report.ts'
import { schemaChanges } from './schema-change.ts'
import { digestsOf, hasRun, isSame } from './stamp.ts'

/** Says what will be created, changed and removed. */
export async function plan(change: Change): Promise<void> {
  const { place, prune, found } = change
  const { manifests, history, diff, live } = found!
  const good = serving(history)
  const since = good ? history.indexOf(good) + 1 : history.length
  // Deployments and StatefulSets name what has been applied last, and their ReplicaSets and ControllerRevisions what may come back
  const holders = live.filter(({ kind }) => !['Deployment', 'StatefulSet'].includes(kind))
  const { removed, generated } = removals(
    manifests,
    history.slice(0, since).map(leftBy),
    history.slice(since).map(leftBy),
    holders,
  )
  const there = await existing(place, [...removed, ...generated])
  change.plan = {
    ...readDiff(diff, manifests),
    removed: removed.filter(one => there.has(title(one))),
    generated: generated.filter(one => there.has(title(one))),
    // migrations have no way back: a release that is put back runs none
    jobs:
      'release' in change.source
        ? []
        : manifests.filter(({ kind }) => kind === 'Job').filter(job => mustRun(job, live, good)),
  }
  const lines = {
    created: change.plan.created,
    changed: change.plan.changed,
    runs: change.plan.jobs.map(title),
    removed: change.plan.removed.map(title),
  }
  for (const [word, titles] of Object.entries(lines))
    if (titles.length) say(`  ${word}: ${titles.join(', ')}`)
  if (!Object.values(lines).some(titles => titles.length)) say('  nothing changes')
  const schemas = await schemaChanges(change.plan.jobs, good?.heads)
  for (const words of schemas) say(`  ${words}`)
  const [images, served] = [manifests, good?.manifests ?? []].map(digestsOf)
  emit('plan', {
    ...lines,
    schemas,
    images,
    coming: images!.filter(image => !served!.includes(image)),
  })
  if (change.plan.removed.length > seatBelt && !prune)
    throw new Failure(
      exit.refused,
      `Plan the ${change.verb}`,
      `${change.plan.removed.length} objects would be removed: ${lines.removed.join(', ')}; nothing was touched`,
      { next: 'the same command with --prune, if that is meant' },
    )
}

/** Which of these objects are in the cluster. */
async function existing(place: Place, all: Manifest[]): Promise<Set<string>> {
  if (!all.length) return new Set()
  const input = all
    .map(({ apiVersion, kind, metadata }) =>
      JSON.stringify({ apiVersion, kind, metadata: { name: metadata.name } }),
    )
    .join('\n')
  const { stdout } = await kubectl(
    place,
    [
      'get',
      '--ignore-not-found',
      '--filename',
      '-',
      '--output',
      'jsonpath={range .items[*]}{.kind} {.metadata.name}{"\\n"}{end}{.kind} {.metadata.name}',
    ],
    { input, what: 'Look for what is to be removed' },
  )
  return new Set(stdout.split('\n'))
}

/** A migration runs unless the same one is known to have ended well. */
function mustRun(job: Manifest, live: Manifest[], good: Stored | undefined): boolean {
  const named = (all: Manifest[] = []) => all.find(one => title(one) === title(job))
  const [here, before] = [named(live), named(good?.manifests)]
  return here ? !hasRun(job, here) : !(before && isSame(job, before))
}
