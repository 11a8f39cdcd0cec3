// Whether the databases still sort as they did when their indexes were built. ICU's order changes
// with its releases, and a search in an index of the old order may miss rows. PostgreSQL records
// the version that a database was created with, and only warns in its log.
import { execInContainer, type Container } from '../compose/containers.ts'
import type { DatabaseVolume } from '../compose/volumes/secrets.ts'
import { finding, type Finding } from './finding.ts'

/** A server whose order has moved. */
export interface ChangedCollation {
  service: string
  databases: string[]
  /** The version that the indexes were built with, and that of the image that runs. */
  was: string
  is: string
}

const query = `SELECT string_agg(datname, ' ' ORDER BY datname), datcollversion, pg_database_collation_actual_version(oid) FROM pg_database
  WHERE datallowconn AND datcollversion <> pg_database_collation_actual_version(oid) GROUP BY 2, 3`

/** Asked of the databases that run; one that gives no answer says nothing here. */
export async function findChangedCollations(
  stores: DatabaseVolume[],
  seen: Map<string, Container>,
): Promise<ChangedCollation[]> {
  const asked = stores.map(async ({ service }) => {
    const container = seen.get(service)
    if (container?.State.Status !== 'running') return []
    const psql =
      'exec psql --no-psqlrc -qtAX -F "|" -U "${POSTGRES_USER:-postgres}" -d postgres -c "$0"'
    const { stdout } = await execInContainer(container.Id, ['sh', '-c', psql, query])
    return parseChangedCollations(service, stdout)
  })
  return (await Promise.all(asked)).flat()
}

export const parseChangedCollations = (service: string, text: string): ChangedCollation[] =>
  [...text.matchAll(/^([^|\n]+)\|([^|\n]+)\|([^|\n]+)$/gm)].map(
    ([, names = '', was = '', is = '']) => ({
      service,
      databases: names.split(' '),
      was,
      is,
    }),
  )

/**
 * With the commands: the indexes first, for once the version is refreshed nobody notices any more
 * that they are old.
 */
export const judgeCollations = (project: string, all: ChangedCollation[]): Finding[] =>
  all.map(({ service, databases, was, is }) => {
    const words = `${service}: the indexes of ${databases.join(', ')} are in the order of collation version ${was}, its image has ${is}: rows may not be found`
    const psql =
      'psql -U "$POSTGRES_USER" -d $db -c "REINDEX DATABASE $db" -c "ALTER DATABASE $db REFRESH COLLATION VERSION"'
    return finding(
      'volumes',
      'error',
      words,
      `docker compose -p ${project} exec ${service} sh -c 'for db in ${databases.join(' ')}; do ${psql}; done'`,
    )
  })
