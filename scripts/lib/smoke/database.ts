// What every PostgreSQL of the stack must have for its application, checked inside its own
// container.
import { OutsideServiceError, type SmokeCheck, type SmokeContext } from './checks.ts'

/**
 * The names of a Hungarian list in their order: accents come after their letter, `cs` is a letter
 * of its own after `c`.
 */
const sorted = 'Ádám, Anna, Cukor, Csilla, Éva, Zsolt'

/** The checks of the database in `service`, whichever its name is. */
export const databaseChecks = (service: string): SmokeCheck[] => [
  { name: 'its database sorts as Hungarian', run: context => sortsAsHungarian(context, service) },
  { name: 'its database takes writes', run: context => takesWrites(context, service) },
  { name: 'it is no superuser of its database', run: context => hasFewRights(context, service) },
]

async function sortsAsHungarian(context: SmokeContext, service: string): Promise<string> {
  const names = sorted
    .split(', ')
    .toReversed()
    .map(name => `('${name}')`)
    .join()
  const list = `SELECT string_agg(name, ', ' ORDER BY name) FROM (VALUES ${names}) AS list (name)`
  const versions = 'datcollversion, pg_database_collation_actual_version(oid)'
  const rows = await askDatabase(
    context,
    service,
    `SELECT (${list}), datcollate, datlocprovider, datlocale, ${versions} FROM pg_database WHERE datname = current_database()`,
  )
  if (!rows) return 'an external server: not checked'
  const [found, collate, provider, locale, was, is] = rows[0]!
  if (was !== is)
    throw new Error(
      `its indexes are in the order of collation version ${was}, the image has ${is}: REINDEX, then REFRESH COLLATION VERSION (infra/docker/postgres/README.md)`,
    )
  if (found === sorted) return `${provider === 'i' ? 'icu' : 'libc'} ${locale || collate}, ${is}`
  throw new Error(
    `it sorts ${found}: its volume was created with ${provider === 'i' ? `icu ${locale}` : `libc ${collate}`}. Dump and restore into a new one (infra/docker/postgres/README.md)`,
  )
}

/** A database that recovers or is set to read only answers every question, and refuses every change. */
async function takesWrites(context: SmokeContext, service: string): Promise<string> {
  const query = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"
  const rows = await askDatabase(context, service, query)
  if (!rows) return 'an external server: not checked'
  const [recovers, isReadOnly] = rows[0] ?? []
  if (recovers === 't') throw new Error('it is a standby, or recovers: it takes no writes')
  if (isReadOnly === 'on')
    throw new Error(
      'it is set to read only: ALTER SYSTEM RESET default_transaction_read_only, or ALTER DATABASE, then pg_reload_conf()',
    )
  return 'yes'
}

/**
 * The roles that applications log in with: those of init.sh, and those connected over the
 * network now.
 */
const logins = `SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles WHERE rolcanlogin AND (
  rolname IN (SELECT current_database() || ending FROM (VALUES ('_a'), ('_b'), ('_app')) AS endings (ending))
  OR oid IN (SELECT usesysid FROM pg_stat_activity WHERE backend_type = 'client backend' AND NOT client_addr <<= '127.0.0.0/8')) ORDER BY rolname`

async function hasFewRights(context: SmokeContext, service: string): Promise<string> {
  const rows = await askDatabase(context, service, logins)
  if (!rows) return 'an external server: not checked'
  const names = (list: string[][]) => list.map(([name]) => name).join(', ')
  if (!rows.length)
    throw new Error(
      'it has none of the roles that applications log in with: its volume is older than these roles (infra/docker/postgres/README.md)',
    )
  const strong = rows.filter(([, may]) => may === 't')
  if (strong.length)
    throw new Error(
      `${names(strong)} logs in and can bypass the rules of the database (superuser, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION)`,
    )
  return names(rows)
}

/** The command that asks a database as its superuser, over the socket in its own container. */
export const psql = (query: string): string[] => [
  'sh',
  '-c',
  'exec psql --no-psqlrc -qtAX -F "|" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$0"',
  query,
]

/**
 * The rows of a query, asked as superuser over the socket; undefined when the stack has no such
 * database (a server from outside).
 */
export async function askDatabase(
  { exec }: SmokeContext,
  service: string,
  query: string,
): Promise<string[][] | undefined> {
  try {
    return (await exec(service, psql(query)))
      .trim()
      .split('\n')
      .filter(Boolean)
      .map(line => line.split('|'))
  } catch (error) {
    if (error instanceof OutsideServiceError) return undefined
    throw error
  }
}
