// What is wanted, held against what the database has.
import { parse } from 'libpg-query'
import { nameOf } from './names.mjs'

/** A relation as names.mjs writes it. */
const relation = (oid = 'c') =>
  `(CASE WHEN ${oid}.relnamespace = current_schema()::regnamespace THEN '' ELSE ${oid}.relnamespace::regnamespace || '.' END || ${oid}.relname)`
const space = of =>
  `(CASE WHEN ${of} = current_schema()::regnamespace THEN '' ELSE ${of}::regnamespace || '.' END)`
const own = of => `${of} NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`

/** The keys of all that is there, one a row. */
const catalogue = `
  SELECT 'row security on ' || ${relation()} AS key FROM pg_class c WHERE c.relrowsecurity
  UNION ALL SELECT 'forced row security on ' || ${relation()} FROM pg_class c WHERE c.relforcerowsecurity
  UNION ALL SELECT 'policy ' || p.polname || ' on ' || ${relation()} || CASE WHEN p.polpermissive THEN ' permissive' ELSE ' restrictive' END || ' for '
    || CASE p.polcmd WHEN '*' THEN 'all' WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' ELSE 'delete' END
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  UNION ALL SELECT 'trigger ' || t.tgname || ' on ' || ${relation()} FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
  UNION ALL SELECT 'constraint ' || o.conname || ' on ' || ${relation()} FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
  UNION ALL SELECT 'function ' || ${space('f.pronamespace')} || f.proname || '/' || f.pronargs FROM pg_proc f WHERE ${own('f.pronamespace')}
  UNION ALL SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' WHEN 'i' THEN 'index ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'view ' ELSE 'table ' END
    || CASE c.relkind WHEN 'i' THEN c.relname ELSE ${relation()} END FROM pg_class c WHERE c.relkind IN ('v', 'm', 'S', 'i', 'r', 'p') AND ${own('c.relnamespace')}
  UNION ALL SELECT CASE WHEN i.indisunique THEN 'unique ' ELSE '' END || 'index of ' || ${relation()} || ' (' || (SELECT string_agg(a.attname, ', ' ORDER BY k.n)
      FROM unnest(i.indkey::int[]) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) || ')'
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE i.indpred IS NULL AND i.indexprs IS NULL AND ${own('c.relnamespace')}
  UNION ALL SELECT 'extension ' || extname FROM pg_extension
  UNION ALL SELECT 'schema ' || nspname FROM pg_namespace
  UNION ALL SELECT 'type ' || ${space('y.typnamespace')} || y.typname FROM pg_type y WHERE ${own('y.typnamespace')}`

/** The objects of the migrations that are not there. */
export async function missing(db, { objects }) {
  if (!objects.length) return []
  const there = new Set((await db.rows(catalogue)).map(({ key }) => key))
  return objects.filter(({ key, also }) => !there.has(key) && !(also && there.has(also)))
}

/** What a difference to the datamodel adds: an application asks for it, and fails. Other differences (names, defaults, an index) stop nobody. */
const adds = {
  CreateStmt: ({ relation }) => `table ${nameOf(relation)}`,
  CreateEnumStmt: ({ typeName }) => `type ${typeName.map(({ String }) => String.sval).join('.')}`,
  AlterEnumStmt: ({ newVal }) => newVal && `value ${newVal}`,
  AlterTableStmt: ({ relation, cmds }) =>
    cmds.flatMap(({ AlterTableCmd: { subtype, name, def } }) => {
      if (subtype === 'AT_AddColumn')
        return `column ${def.ColumnDef.colname} of ${nameOf(relation)}`
      if (subtype === 'AT_AlterColumnType') return `another type of ${name} of ${nameOf(relation)}`
      return []
    }),
}

/** What a database lacks of the datamodel, by the SQL that would bring it there. */
export async function lacking(sql) {
  const { stmts = [] } = sql.replace(/^--.*$/gm, '').trim() ? await parse(sql) : {}
  return stmts
    .flatMap(({ stmt }) => Object.entries(stmt).flatMap(([kind, node]) => adds[kind]?.(node) ?? []))
    .filter(Boolean)
    .map(one => `  ${one}`)
}
