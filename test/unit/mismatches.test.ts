// What a run makes of the table of mismatches.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { holds, judge, rows } from '../mismatches.ts'

const test = suite('mismatches')

test('every row of the mismatches names tests that are there', () => {
  assert.equal(
    rows
      .flatMap(({ refuses, passes }) => [refuses, passes])
      .filter(test => !holds(test))
      .map(test => test.join(': ')),
    [],
  )
})

test('every mismatch of the notes has its row', () => {
  const listed = rows.flatMap(({ numbers }) =>
    numbers.split(', ').map(number => number.replace(/(real \d+)\..*/, '$1')),
  )
  const real = Array.from({ length: 10 }, (_, i) => `real ${i + 1}`)
  const all = [
    'B1',
    'B2',
    'M1',
    'M2',
    'M3',
    'M4',
    'M6',
    ...[1, 2, 3, 4, 7, 10].map(number => `minor ${number}`),
    ...real,
  ]
  assert.equal(
    all.filter(number => !listed.includes(number)),
    [],
  )
})

test('a row passes with its tests: not in a part of them, not when one failed, and not when its file came to no end', () => {
  const judged = (text: string, failed: number) => {
    const files = rows.flatMap(({ refuses, passes }) => [refuses[0], passes[0]])
    const ran = new Map(
      files.map(file => [`${file}.test.ts`, { passed: 1, failed: 0, skipped: 0, text: '' }]),
    )
    ran.set('unit/doors.test.ts', { passed: 1, failed, skipped: 0, text })
    return judge(['unit', 'policy', 'compose', 'cluster'], ran)
      .filter(({ why }) => why.refuses || why.passes)
      .map(({ numbers, why }) => [numbers, why.passes])
  }
  const name = rows.find(({ numbers }) => numbers === 'real 10.1')!.passes[1]
  assert.equal(judged('', 0), [])
  assert.equal(judged(`   FAIL  doors  "${name}"\n    Expected`, 1), [['real 10.1', 'failed']])
  assert.equal(judged('   FAIL  doors  "another one"\n', 1), [])
  assert.equal(judged('', 1), [['real 10.1', 'not run to its end']])
  assert.equal(
    [...new Set(judge(['unit'], new Map()).map(({ why }) => why.passes))],
    ['not run to its end'],
  )
  assert.equal(judge([], new Map()), [])
})

test.run()
