// The phases of a change, in their order.
import type { Phase } from './change.ts'
import { planChange } from './plan.ts'
import {
  applyChange,
  lockEnvironment,
  preflightChange,
  smokeTestChange,
  watchChange,
} from './deploy.ts'
import { recordChange } from './record.ts'

/** What a deploy goes through; `more` comes after the pre-flight, while nothing is touched. */
export const listChangePhases = (...more: Phase[]): Phase[] => [
  ['Pre-flight', preflightChange],
  ...more,
  ['Plan', planChange],
  ['Lock', lockEnvironment],
  ['Apply', applyChange],
  ['Watch', watchChange],
  ['Smoke', smokeTestChange],
  ['Record', recordChange],
]
