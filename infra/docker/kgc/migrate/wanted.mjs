// What migrations make beyond the datamodel, read from their SQL by PostgreSQL's own grammar: the end state after all of them.
import { parse } from 'libpg-query'
import { alterTable } from './wanted-table.mjs'
import { bare, named, nameOf, policyKey, words } from './names.mjs'

/**
 * An object by its key, as the catalogue (compare.mjs) has it, with the SQL that makes it; `also`: another key under which it may be there; no `sql`: it
 * cannot be made by itself. `table`: with which it goes.
 * @typedef {{ key: string, also?: string, sql?: string[], table?: string, migration: string }} Wanted
 */

/** What the datamodel makes, and what leaves nothing to be seen. */
const plain = [
  'CreateEnumStmt',
  'AlterEnumStmt',
  'UpdateStmt',
  'DeleteStmt',
  'SelectStmt',
  'CommentStmt',
  'TransactionStmt',
  'VariableSetStmt',
]

/** What a statement does to the objects; each gets (node, the state, its own SQL). */
const does = {
  CreateStmt({ relation, tableElts = [] }, state, sql) {
    const table = nameOf(relation)
    state.add({ key: `table ${table}`, table, sql: [sql] })
    for (const { ColumnDef, Constraint } of tableElts) {
      for (const check of [
        Constraint,
        ...(ColumnDef?.constraints ?? []).map(one => one.Constraint),
      ])
        if (check?.contype === 'CONSTR_CHECK')
          state.add({
            key: `constraint ${check.conname ?? `${table}_${ColumnDef ? `${ColumnDef.colname}_` : ''}check`} on ${table}`,
            table,
          })
    }
  },
  AlterTableStmt: alterTable,
  CreatePolicyStmt: (node, state, sql) =>
    state.add({ key: policyKey(node), table: nameOf(node.table), sql: [sql] }),
  AlterPolicyStmt({ table, policy_name: name }, state, sql) {
    state.each(
      one => one.table === nameOf(table) && one.key.startsWith(`policy ${name} on `),
      one => one.sql?.push(sql),
    )
  },
  CreateFunctionStmt({ funcname, parameters = [] }, state, sql) {
    const inputs = parameters.filter(
      ({ FunctionParameter: { mode } }) => !/_(OUT|TABLE)$/.test(mode),
    )
    state.add({ key: `function ${bare(words(funcname))}/${inputs.length}`, sql: [sql] })
  },
  CreateTrigStmt: ({ relation, trigname }, state, sql) =>
    state.add({
      key: `trigger ${trigname} on ${nameOf(relation)}`,
      table: nameOf(relation),
      sql: [sql],
    }),
  ViewStmt: ({ view }, state, sql) => state.add({ key: `view ${nameOf(view)}`, sql: [sql] }),
  CreateTableAsStmt({ objtype, into }, state, sql) {
    if (objtype !== 'OBJECT_MATVIEW') return `CREATE TABLE AS`
    state.add({ key: `view ${nameOf(into.rel)}`, sql: [sql] })
  },
  IndexStmt(
    { idxname, relation, indexParams = [], unique = false, whereClause, accessMethod },
    state,
    sql,
  ) {
    const table = nameOf(relation)
    const columns = indexParams.map(({ IndexElem }) => IndexElem.name)
    // the datamodel may call it another name
    const simple = columns.every(Boolean) && !whereClause && accessMethod === 'btree'
    const same = `${unique ? 'unique ' : ''}index of ${table} (${columns.join(', ')})`
    state.add({
      key: idxname ? `index ${idxname}` : same,
      ...(simple ? { also: same } : {}),
      table,
      columns,
      sql: [sql.replace(/\bconcurrently\b/i, '')],
    })
  },
  CreateExtensionStmt: ({ extname }, state, sql) =>
    state.add({ key: `extension ${extname}`, sql: [sql] }),
  CreateSeqStmt: ({ sequence }, state, sql) =>
    state.add({ key: `sequence ${nameOf(sequence)}`, sql: [sql] }),
  CreateSchemaStmt: ({ schemaname }, state, sql) =>
    state.add({ key: `schema ${schemaname}`, sql: [sql] }),
  CreateDomainStmt: ({ domainname }, state, sql) =>
    state.add({ key: `type ${bare(words(domainname))}`, sql: [sql] }),
  CompositeTypeStmt: ({ typevar }, state, sql) =>
    state.add({ key: `type ${nameOf(typevar)}`, sql: [sql] }),
  InsertStmt: (node, state, sql) => void state.rows.push(sql),
  DropStmt({ removeType, objects }, state) {
    for (const object of objects) {
      const gone = named(removeType, object)
      if (!gone) return `DROP ${removeType.replace('OBJECT_', '')}`
      state.drop(gone)
    }
  },
  RenameStmt({ renameType, relation, subname, newname }, state) {
    const table = relation && nameOf(relation)
    if (renameType === 'OBJECT_TABLE')
      return state.each(
        one => one.table === table,
        one =>
          rename(
            one,
            one.key === `table ${table}` ? one.key : ` on ${table}`,
            one.key === `table ${table}` ? `table ${newname}` : ` on ${newname}`,
            newname,
          ),
      )
    // the datamodel has the new name; what names the old one in its SQL cannot be made any more
    if (renameType === 'OBJECT_COLUMN')
      return state.each(
        one => one.table === table,
        one => delete one.sql,
      )
    const kind = {
      OBJECT_POLICY: 'policy',
      OBJECT_TRIGGER: 'trigger',
      OBJECT_INDEX: 'index',
      OBJECT_VIEW: 'view',
      OBJECT_TABCONSTRAINT: 'constraint',
    }[renameType]
    if (!kind) return `RENAME ${renameType.replace('OBJECT_', '')}`
    const old = `${kind} ${subname ?? table}`
    state.each(
      ({ key }) => key === old || key.startsWith(`${old} on ${table}`),
      one => rename(one, old, `${kind} ${newname}`),
    )
  },
}

function rename(one, old, now, table) {
  one.key = one.key.replace(old, now)
  if (table) one.table = table
  // its SQL makes it under the old name
  delete one.sql
  delete one.also
}

/** Notes in the state what a statement makes; returns its kind where that is not known. */
function note(kind, node, state, text) {
  if (plain.includes(kind)) return undefined
  return does[kind] ? does[kind](node, state, text) : kind.replace(/Stmt$/, '')
}

/**
 * @param {{ name: string, sql: string }[]} migrations
 * @returns {Promise<{ objects: Wanted[], rows: string[], unknown: { migration: string, kind: string }[] }>} `rows`: the INSERTs; `unknown`: statements of
 *   which it is not known what they make. Throws for SQL that PostgreSQL would not take.
 */
export async function wantedOf(migrations) {
  const state = { objects: [], rows: [], unknown: [], migration: '' }
  state.drop = gone => void (state.objects = state.objects.filter(one => !gone(one)))
  state.add = one => {
    state.drop(({ key }) => key === one.key)
    state.objects.push({ ...one, migration: state.migration })
  }
  state.each = (which, change) => void state.objects.filter(which).forEach(change)
  for (const { name, sql } of migrations) {
    state.migration = name
    const { stmts = [] } = sql.trim()
      ? await parse(sql).catch(error => Promise.reject(new Error(`${name}: ${error.message}`)))
      : {}
    for (const { stmt, stmt_location: start = 0, stmt_len: length } of stmts) {
      const [[kind, node]] = Object.entries(stmt)
      // the places are bytes
      const text = Buffer.from(sql)
        .subarray(start, length ? start + length : undefined)
        .toString()
        .trim()
      const unknown = note(kind, node, state, text)
      if (unknown) state.unknown.push({ migration: name, kind: unknown })
    }
  }
  const { objects, rows, unknown } = state
  return { objects, rows, unknown }
}
