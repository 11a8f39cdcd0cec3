// The table of checks.yaml: what each check of smoke and doctor proves, on which fault, by which test.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { testsOf } from './cases.ts'
import type { Table } from './table.ts'

interface CheckRow {
  /** As smoke lists it, `*` for any application; or a function of scripts/lib/doctor. */
  check: string
  proves: string
  /** What was injected. */
  fault: string
  test: Record<string, string | string[]>
}

/** The rows of checks.yaml, and those that an application of a user's own brings. */
export function readCheckRows(): CheckRow[] {
  const folder = join(import.meta.dirname, '../infra/docker')
  const own = readdirSync(folder).map(name => join(folder, name, 'checks.yaml'))
  return [join(import.meta.dirname, 'checks.yaml'), ...own.filter(existsSync)].flatMap(
    file => parse(readFileSync(file, 'utf8')) as CheckRow[],
  )
}

/** The checks as rows whose tests must pass. */
export const checkTable = (): Table => ({
  title: 'What each check of smoke and doctor proves, and the fault that it was shown on:',
  rows: readCheckRows().map(row => ({
    name: row.check,
    fault: `${row.proves}; shown on: ${row.fault}`,
    tests: testsOf({ case: row.check, said: row.fault, test: row.test }),
  })),
})
