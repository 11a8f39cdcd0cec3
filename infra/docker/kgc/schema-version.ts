// How far the database is migrated: the schema's version that the migration has recorded
// (migrate/database.mjs), and Prisma's own table, if any.
import type { SmokeContext } from '../../../scripts/lib/smoke/checks.ts'
import { psql } from '../../../scripts/lib/smoke/database.ts'

// a table that is not there must not fail: the text is a query only where it is
const of = (table: string, query: string) =>
  `CASE WHEN to_regclass('${table}') IS NOT NULL THEN (xpath('/row/h/text()', query_to_xml('${query.replaceAll("'", "''")}', false, true, '')))[1]::text END`
const sql = `SELECT concat_ws(', ',
  ${of('kgc_stack.schema_versions', `SELECT 'schema ' || left(checksum, 12) AS h FROM kgc_stack.schema_versions WHERE how IN ('pushed', 'migrated') ORDER BY id DESC LIMIT 1`)},
  ${of('_prisma_migrations', `SELECT count(*) || ' migrations, ' || left(md5(string_agg(t::text, ',' ORDER BY t::text)), 8) AS h FROM _prisma_migrations t`)})`

export const schemaVersion = async ({ exec }: SmokeContext): Promise<string> =>
  (await exec('kgc-db', psql(sql))).trim()
