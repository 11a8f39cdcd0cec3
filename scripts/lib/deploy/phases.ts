// The phases of a change, in their order.
import type { Phase } from './change.ts'
import { plan } from './plan.ts'
import { apply, lock, lookAhead, smoke, watch } from './deploy.ts'
import { record } from './record.ts'

/** What a deploy goes through; `more` comes after the pre-flight, while nothing is touched. */
export const phases = (...more: Phase[]): Phase[] => [
  ['Pre-flight', lookAhead],
  ...more,
  ['Plan', plan],
  ['Lock', lock],
  ['Apply', apply],
  ['Watch', watch],
  ['Smoke', smoke],
  ['Record', record],
]
