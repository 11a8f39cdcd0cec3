// What the applications themselves say: whether they work, and how far their databases are migrated.
import { fromFolders, outcome, productChecks, type Outcome, type SmokeContext } from '../smoke/checks.ts'
import type { Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { clusterTarget } from '../smoke/target-cluster.ts'

/**
 * What the checks of these manifests say. As long as one fails that is not `excused`, all are asked again, unless `again` says no.
 */
export async function asked(place: Place, manifests: Manifest[], excused: (check: string) => boolean, again: () => boolean): Promise<Outcome[]> {
  const target = await clusterTarget(
    place,
    manifests.filter(({ kind }) => kind !== 'Job'),
  )
  const checks = await productChecks(target)
  for (;; await new Promise(done => setTimeout(done, 1000))) {
    const [health, product] = await Promise.all([target.health().catch(unknown), Promise.all(checks.map(({ name, run }) => outcome(name, run, 30_000)))])
    const outcomes = [...health, ...product]
    if (!outcomes.some(({ ok, name }) => !ok && !excused(name)) || !again()) return outcomes
  }
}

/** A cluster that does not answer for a moment says nothing about what runs in it. */
const unknown = (error: Error): Outcome[] => [{ name: 'the cluster', ok: false, detail: error.message, ms: 0 }]

/** A line that changes with every migration that a database has seen, whatever the columns of its table are. */
export const migrationsIn = async (context: SmokeContext, service: string, owner: string, table: string): Promise<string> => {
  const sql = `SELECT count(*) || ' migrations, ' || left(md5(string_agg(t::text, ',' ORDER BY t::text)), 8) FROM ${table} t`
  return (await context.exec(service, ['psql', '--username', owner, '--dbname', owner, '--tuples-only', '--no-align', '--command', sql])).trim()
}

/** The last migration of each application's database, where it can tell (infra/docker/<folder>/heads.ts exports `head`). */
export async function heads(place: Place, manifests: Manifest[]): Promise<Record<string, string>> {
  const folders = await fromFolders<{ head: (context: SmokeContext) => Promise<string> }>('heads.ts')
  if (!folders.length) return {}
  const target = await clusterTarget(place, manifests)
  const asked = await Promise.all(folders.map(async ({ folder, head }) => [folder, await head(target.context(folder)).catch(() => '')] as const))
  return Object.fromEntries(asked.filter(([, head]) => head))
}
