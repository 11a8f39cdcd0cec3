// What the applications themselves say: whether they work, and how far their databases are migrated.
import { fromFolders, productChecks, type SmokeContext } from '../smoke/checks.ts'
import { workloads, type Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { warn } from '../report.ts'
import { psql } from '../smoke/database.ts'
import { failed, unasked, type Outcome } from '../smoke/outcome.ts'
import { clusterTarget } from '../smoke/target-cluster.ts'

const told = new Set<string>()

/**
 * What the checks of these manifests say; those that cannot be asked here are not among them, and named once. As long as one fails that is
 * not `excused`, all are asked again, unless `again` says no.
 */
export async function asked(
  place: Place,
  manifests: Manifest[],
  excused: (check: string) => boolean,
  again: () => boolean,
): Promise<Outcome[]> {
  const target = await clusterTarget(
    place,
    manifests.filter(({ kind }) => kind !== 'Job'),
  )
  const checks = await productChecks(target)
  for (; ; await new Promise(done => setTimeout(done, 1000))) {
    const [health, product] = await Promise.all([
      target.health().catch(unknown),
      Promise.all(checks.map(({ ask }) => ask(30_000))),
    ])
    for (const { name, detail } of unasked(product))
      if (!told.has(name)) (warn(`${name}: ${detail}`), told.add(name))
    const outcomes = [...health, ...product].filter(({ ok }) => ok !== null)
    if (!failed(outcomes).some(({ name }) => !excused(name)) || !again()) return outcomes
  }
}

/** What a cluster that does not answer is called among the checks. */
export const theCluster = 'the cluster'
/** A cluster that does not answer for a moment says nothing about what runs in it. */
const unknown = (error: Error): Outcome[] => [
  { name: theCluster, ok: false, detail: error.message, ms: 0 },
]

/** A line that changes with every migration that a database has seen, whatever the columns of its table are. */
export const migrationsIn = async (
  context: SmokeContext,
  service: string,
  table: string,
): Promise<string> => {
  const sql = `SELECT count(*) || ' migrations, ' || left(md5(string_agg(t::text, ',' ORDER BY t::text)), 8) FROM ${table} t`
  return (await context.exec(service, psql(sql))).trim()
}

/** By application, how far its database is migrated. */
export type Heads = Record<string, string>
/** The head of a database that could not be asked. */
export const silent = '?'
/** How often a database is asked, and ms between: pods are looked for every 2 s. */
const tries = { most: 3, pause: 2_100 }

/** The last migration of each application's database that is part of these manifests (infra/docker/<folder>/heads.ts exports `head`). */
export async function heads(
  place: Place,
  manifests: Manifest[],
  { most, pause } = tries,
): Promise<Heads> {
  const folders = await fromFolders<{ head: (context: SmokeContext) => Promise<string> }>(
    'heads.ts',
  )
  if (!folders.length) return {}
  const target = await clusterTarget(place, manifests)
  const here = new Set(
    workloads(manifests)
      .filter(({ kind }) => kind !== 'Job')
      .map(({ metadata }) => metadata.name),
  )
  const ask = async (context: SmokeContext, head: (context: SmokeContext) => Promise<string>) => {
    let absent = false
    // what is not there has no head; what does not answer may have any
    const exec: SmokeContext['exec'] = async (service, ...words) => (
      (absent ||= !here.has(service)),
      context.exec(service, ...words)
    )
    for (let i = 1; ; i++) {
      const answer = await head({ ...context, exec }).catch(() => (absent ? '' : silent))
      if (answer !== silent || i === most) return answer
      await new Promise(done => setTimeout(done, pause))
    }
  }
  const asked = await Promise.all(
    folders.map(
      async ({ folder, head }) => [folder, await ask(target.context(folder), head)] as const,
    ),
  )
  return Object.fromEntries(asked.filter(([, head]) => head))
}
