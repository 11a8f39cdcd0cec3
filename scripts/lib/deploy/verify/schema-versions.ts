// How far the applications' databases are migrated, as they say themselves.
import type { DeployTarget } from '../target.ts'
import { selectWorkloads, type Manifest } from '../../kubernetes/objects.ts'
import { pollUntil } from '../../retry.ts'
import { loadAppModules } from '../../smoke/app-modules.ts'
import type { SmokeContext } from '../../smoke/checks.ts'
import { psql } from '../../smoke/database.ts'

/**
 * A line that changes with every migration that a database has seen, whatever the columns of its
 * table are.
 */
export const summarizeMigrations = async (
  context: SmokeContext,
  service: string,
  table: string,
): Promise<string> => {
  const sql = `SELECT count(*) || ' migrations, ' || left(md5(string_agg(t::text, ',' ORDER BY t::text)), 8) FROM ${table} t`
  return (await context.exec(service, psql(sql))).trim()
}

/** By application, how far its database is migrated. */
export type SchemaVersions = Record<string, string>
/** The schema version of a database that could not be asked. */
export const unknownSchemaVersion = '?'
/** ms before a database is asked again: pods are looked for every 2 s. */
const schemaRetryDelaysMs = [2_100, 2_100]

/**
 * The last migration of each application's database that is part of these manifests
 * (infra/docker/<folder>/schema-version.ts exports `schemaVersion`); `only`: of these applications.
 */
export async function fetchSchemaVersions(
  { smokeTarget }: Pick<DeployTarget, 'smokeTarget'>,
  manifests: Manifest[],
  delays = schemaRetryDelaysMs,
  only?: string[],
): Promise<SchemaVersions> {
  const modules = await loadAppModules<{
    schemaVersion: (context: SmokeContext) => Promise<string>
  }>('schema-version.ts')
  const folders = modules.filter(({ folder }) => !only || only.includes(folder))
  if (!folders.length) return {}
  const target = await smokeTarget(manifests)
  const here = new Set(
    selectWorkloads(manifests)
      .filter(({ kind }) => kind !== 'Job')
      .map(({ metadata }) => metadata.name),
  )
  const ask = async (context: SmokeContext, read: (context: SmokeContext) => Promise<string>) => {
    let absent = false
    // a database that is not there has no schema version; one that does not answer may have any
    const exec: SmokeContext['exec'] = async (service, ...words) => {
      absent ||= !here.has(service)
      return context.exec(service, ...words)
    }
    return pollUntil(
      () => read({ ...context, exec }).catch(() => (absent ? '' : unknownSchemaVersion)),
      answer => answer !== unknownSchemaVersion,
      delays,
    )
  }
  const asked = await Promise.all(
    folders.map(
      async ({ folder, schemaVersion }) =>
        [folder, await ask(target.context(folder), schemaVersion)] as const,
    ),
  )
  return Object.fromEntries(asked.filter(([, head]) => head))
}
