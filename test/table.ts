// Tables of faults, each with the tests that hold it: a row counts as failed unless each of its
// tests ran and passed in this run.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Count } from './progress.ts'

/** A test's file in test/, without `.test.ts`, and its name. */
export type Test = readonly [file: string, name: string]

export interface Row {
  name: string
  /** What was wrong, in a line. */
  fault: string
  tests: Test[]
  /** Why nothing holds it yet; then it has no tests. */
  open?: string | undefined
}

export interface Table {
  title: string
  rows: Row[]
}

/** What a file's run came to. */
export interface Ran extends Count {
  text: string
}

/** A row, and why each of its tests has not passed; '' for one that has. */
export interface JudgedRow extends Row {
  why: string[]
}

export interface JudgedTable {
  title: string
  rows: JudgedRow[]
}

/**
 * Why a test has not passed; '' when it has. uvu names only what failed, so the rest of a file that
 * ran to its end has passed.
 */
function lacks([file, name]: Test, ran: ReadonlyMap<string, Ran>): string {
  if (!hasTest([file, name])) return 'there is no such test'
  const { text = '', failed = 0, skipped = 0 } = ran.get(`${file}.test.ts`) ?? { skipped: 1 }
  const names = [...text.matchAll(/^ +FAIL .*?"(.*)"$/gm)].map(([, failing]) => failing)
  if (skipped || failed > names.length) return 'not run to its end'
  return names.includes(name) ? 'failed' : ''
}

/** Whether a file has a test of that name; what a title takes from a variable may be anything. */
export function hasTest([file, name]: Test): boolean {
  const path = join(import.meta.dirname, `${file}.test.ts`)
  if (!existsSync(path)) return false
  const titles = readFileSync(path, 'utf8').matchAll(/^ *test\(\s*(['"`])(.*?)\1,/gm)
  return [...titles].some(([, quote, title = '']) =>
    quote === '`' ? patternOf(title).test(name) : title.replaceAll("\\'", "'") === name,
  )
}

/** A template literal as a pattern. */
const patternOf = (template: string): RegExp =>
  new RegExp(
    `^${template
      .split(/\$\{[^}]*\}/)
      .map(text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.+')}$`,
  )

/**
 * The rows whose tests are all in `groups`; those that no test holds yet are shown beside the unit
 * tests.
 */
export const judgeTable = (
  { title, rows }: Table,
  groups: readonly string[],
  ran: ReadonlyMap<string, Ran>,
): JudgedTable => ({
  title,
  rows: rows
    .filter(({ tests }) => groupsOf(tests).every(group => groups.includes(group)))
    .map(row => ({ ...row, why: row.tests.map(test => lacks(test, ran)) })),
})

const groupsOf = (tests: Test[]): string[] =>
  tests.length ? tests.map(([file]) => file.split('/')[0] ?? '') : ['unit']

/** Whether all tests of a row have passed; one that none holds yet has nothing to fail. */
export const isHeld = ({ why }: JudgedRow): boolean => why.every(words => !words)
