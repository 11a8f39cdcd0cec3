// What a start says to a volume of another PostgreSQL major.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { refuseOtherMajors, type MajorChange } from '../../scripts/lib/compose/volumes/majors.ts'
import type { Stack } from '../../scripts/lib/compose/stack.ts'
import type { Failure } from '../../scripts/lib/errors.ts'

const test = suite('PostgreSQL majors')
const stack = { mode: 'prod' } as Stack
const change = (from: number, to: number) =>
  ({
    store: { service: 'kgc-db', volume: 'kgc_kgc-db-data', image: `postgres:${to}` },
    from,
    to,
  }) as MajorChange
const said = (from: number, to: number): Failure => {
  try {
    refuseOtherMajors(stack, [change(from, to)], 'Start kgc')
  } catch (error) {
    return error as Failure
  }
  throw new Error('it was not refused')
}

test('data of an older one has a way on, data of a newer one has none but its image', () => {
  const newer = said(16, 17)
  assert.is(newer.code, 3)
  assert.match(newer.next ?? '', 'scripts/up.ts prod --upgrade')
  assert.match(newer.evidence ?? '', 'kgc-db: postgres:17 is 17, its data 16')
  assert.match(said(17, 16).next ?? '', 'put an image of 17 back')
  refuseOtherMajors(stack, [], 'Start kgc')
})

test.run()
