// ALTER TABLE: row security and checks are beyond the datamodel, most of the rest is its own.
import { nameOf, quoted } from './names.mjs'

/** The datamodel says these, or nothing can be seen of them. */
const plain =
  `AddColumn AlterColumnType ColumnDefault SetNotNull DropNotNull ValidateConstraint SetStatistics AddIdentity SetIdentity DropIdentity`
    .split(' ')
    .map(name => `AT_${name}`)

const security = {
  AT_EnableRowSecurity: ['row security', 'ENABLE'],
  AT_ForceRowSecurity: ['forced row security', 'FORCE'],
}
const insecurity = {
  AT_DisableRowSecurity: 'row security',
  AT_NoForceRowSecurity: 'forced row security',
}

/** Out: the kind of change that it does not know, if any. */
export function alterTable({ relation, cmds, objtype = 'OBJECT_TABLE' }, state, sql) {
  const table = nameOf(relation)
  if (objtype !== 'OBJECT_TABLE') return `ALTER ${objtype.replace('OBJECT_', '')}`
  for (const {
    AlterTableCmd: { subtype, name, def },
  } of cmds) {
    const [kind, word] = security[subtype] ?? []
    if (kind)
      state.add({
        key: `${kind} on ${table}`,
        table,
        sql: [`ALTER TABLE ${quoted(table)} ${word} ROW LEVEL SECURITY`],
      })
    else if (insecurity[subtype])
      state.drop(one => one.key === `${insecurity[subtype]} on ${table}`)
    else if (subtype === 'AT_AddConstraint')
      constraint(state, table, def.Constraint, cmds.length === 1 ? sql : undefined)
    else if (subtype === 'AT_DropConstraint')
      state.drop(one => one.key === `constraint ${name} on ${table}`)
    else if (subtype === 'AT_DropColumn')
      state.drop(one => one.table === table && one.columns?.includes(name))
    else if (!plain.includes(subtype)) return `ALTER TABLE (${subtype.replace('AT_', '')})`
  }
}

/** Keys and references are the datamodel's. */
function constraint(state, table, { contype, conname }, sql) {
  if (!/CHECK|EXCLUSION/.test(contype)) return
  state.add({
    key: `constraint ${conname ?? `${table}_check`} on ${table}`,
    table,
    ...(sql ? { sql: [sql] } : {}),
  })
}
