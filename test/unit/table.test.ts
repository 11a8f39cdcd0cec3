// What a run makes of the tables of faults and the tests that hold them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { caseTable, readCases, testsOf } from '../cases.ts'
import { mismatchTable } from '../mismatches.ts'
import { hasTest, isHeld, judgeTable, type Ran, type Table } from '../table.ts'

const test = suite('table')
const cases = readCases()

test('every row names tests that are there', () => {
  const rows = [mismatchTable, caseTable()].flatMap(table => table.rows)
  assert.equal(
    rows
      .flatMap(({ tests }) => tests)
      .filter(one => !hasTest(one))
      .map(one => one.join(': ')),
    [],
  )
})

test('every mismatch of the notes has its row', () => {
  const listed = mismatchTable.rows.flatMap(({ name }) =>
    name
      .replace('mismatch ', '')
      .split(', ')
      .map(number => number.replace(/(real \d+)\..*/, '$1')),
  )
  const real = Array.from({ length: 10 }, (_, i) => `real ${i + 1}`)
  const minor = [1, 2, 3, 4, 7, 10].map(number => `minor ${number}`)
  const all = ['B1', 'B2', 'M1', 'M2', 'M3', 'M4', 'M6', ...minor, ...real]
  assert.equal(
    all.filter(number => !listed.includes(number)),
    [],
  )
})

test('every case has one row, with tests or with why it has none', () => {
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i)
  const named = numbers(1, 6).map(number => `named ${number}`)
  const backups = numbers(1, 5).map(number => `b${number}`)
  const all = [1, 3, ...numbers(5, 29), ...named, ...numbers(43, 81), ...backups]
  assert.equal(
    cases.map(row => row.case),
    all,
  )
  assert.equal(
    cases.filter(row => Boolean(row.open) === testsOf(row).length > 0).map(row => row.case),
    [],
  )
})

test('what holds a report says which', () => {
  const says = (row: (typeof cases)[number]) =>
    testsOf(row).some(([file]) => {
      const text = readFileSync(join(import.meta.dirname, '..', `${file}.test.ts`), 'utf8')
      return row.report?.split(', ').some(report => text.includes(report))
    })
  assert.equal(
    cases.filter(row => row.report && !row.open && !says(row)).map(row => row.case),
    [],
  )
})

test('a row passes with its tests: not in a part of them, not when one failed, and not when its file came to no end', () => {
  const judged = (text: string, failed: number) => {
    const files = mismatchTable.rows.flatMap(({ tests }) => tests.map(([file]) => file))
    const ran = new Map<string, Ran>(
      files.map(file => [`${file}.test.ts`, { passed: 1, failed: 0, skipped: 0, text: '' }]),
    )
    ran.set('unit/doors.test.ts', { passed: 1, failed, skipped: 0, text })
    return judgeTable(mismatchTable, ['unit', 'policy', 'compose', 'cluster'], ran)
      .rows.filter(row => !isHeld(row))
      .map(({ name, why }) => [name, why.at(-1)])
  }
  const row = mismatchTable.rows.find(({ name }) => name === 'mismatch real 10.1')
  const title = row?.tests[0]?.[1]
  assert.equal(judged('', 0), [])
  assert.equal(judged(`   FAIL  doors  "${title}"\n    Expected`, 1), [
    ['mismatch real 10.1', 'failed'],
  ])
  assert.equal(judged('   FAIL  doors  "another one"\n', 1), [])
  assert.equal(judged('', 1), [['mismatch real 10.1', 'not run to its end']])
  const unit = judgeTable(mismatchTable, ['unit'], new Map()).rows
  assert.equal([...new Set(unit.flatMap(({ why }) => why))], ['not run to its end'])
  assert.equal(judgeTable(mismatchTable, [], new Map()).rows, [])
})

test('a row that no test holds yet is shown beside the unit tests; a title may take its words from a variable', () => {
  const table: Table = {
    title: 'Rows',
    rows: [{ name: 'a', fault: 'b', tests: [], open: 'not looked at' }],
  }
  assert.equal(judgeTable(table, ['unit'], new Map()).rows, [{ ...table.rows[0], why: [] }])
  assert.equal(judgeTable(table, ['lint'], new Map()).rows, [])
  const loop = (what: string) =>
    hasTest([
      'unit/deploy-outcome',
      `runatlantis/atlantis#3581: each step of ${what} fails in turn, or loses the lock`,
    ])
  assert.equal([loop('anything'), loop('')], [true, false])
})

test.run()
