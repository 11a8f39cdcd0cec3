// What every PostgreSQL of the stack owes to its application, asked in its own container.
import { OutsideService, type Check, type SmokeContext } from './checks.ts'

/** The names of a Hungarian list in their order: accents come after their letter, `cs` is a letter of its own after `c`. */
const sorted = 'Ádám, Anna, Cukor, Csilla, Éva, Zsolt'

/** The checks of the database in `service`, whichever its name is. */
export const databaseChecks = (service: string): Check[] => [{ name: 'its database sorts as Hungarian', run: context => sortsAsHungarian(context, service) }]

async function sortsAsHungarian(context: SmokeContext, service: string): Promise<string> {
  const names = sorted.split(', ').toReversed().map(name => `('${name}')`).join()
  const list = `SELECT string_agg(name, ', ' ORDER BY name) FROM (VALUES ${names}) AS list (name)`
  const versions = 'datcollversion, pg_database_collation_actual_version(oid)'
  const rows = await askDatabase(context, service, `SELECT (${list}), datcollate, datlocprovider, datlocale, ${versions} FROM pg_database WHERE datname = current_database()`)
  if (!rows) return 'a server from outside: not asked'
  const [found, collate, provider, locale, was, is] = rows[0]!
  if (was !== is) throw new Error(`its indexes are in the order of collation version ${was}, the image brings ${is}: REINDEX, then REFRESH COLLATION VERSION (infra/docker/postgres/README.md)`)
  if (found === sorted) return `${provider === 'i' ? 'icu' : 'libc'} ${locale || collate}, ${is}`
  throw new Error(`it sorts ${found}: its volume was made with ${provider === 'i' ? `icu ${locale}` : `libc ${collate}`}. Dump and restore into a new one (infra/docker/postgres/README.md)`)
}

/** The rows of a query, asked as superuser over the socket; undefined when the stack has no such database (a server from outside). */
export async function askDatabase({ exec }: SmokeContext, service: string, query: string): Promise<string[][] | undefined> {
  const psql = 'exec psql --no-psqlrc -qtAX -F "|" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$0"'
  try {
    return (await exec(service, ['sh', '-c', psql, query])).trim().split('\n').filter(Boolean).map(line => line.split('|'))
  } catch (error) {
    if (error instanceof OutsideService) return undefined
    throw error
  }
}
