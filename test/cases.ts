// The table of cases.yaml: what people met elsewhere, and the tests that hold it here.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Table, Test } from './table.ts'

interface Case {
  case: number | string
  /** Where it was reported: `owner/repository#number`, with commas between them. */
  report?: string
  /** What the product said or did at 3c70814. */
  said: string
  /** The titles of its tests by file, without `.test.ts`. */
  test?: Record<string, string | string[]>
  /** Why there is none yet. */
  open?: string
}

/** The rows of cases.yaml. */
export const readCases = (): Case[] =>
  parse(readFileSync(join(import.meta.dirname, 'cases.yaml'), 'utf8')) as Case[]

/** The tests of a row. */
export const testsOf = ({ test = {} }: Case): Test[] =>
  Object.entries(test).flatMap(([file, titles]) =>
    [titles].flat().map((title): Test => [file, title]),
  )

/** The cases as rows whose tests must pass. */
export const caseTable = (): Table => ({
  title: 'What people met elsewhere, what it came to here once, and the tests that hold it now:',
  rows: readCases().map(row => ({
    name: `case ${row.case}${row.report ? ` (${row.report})` : ''}`,
    fault: row.said,
    tests: testsOf(row),
    open: row.open,
  })),
})
