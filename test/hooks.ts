// uvu says of a hook that fails before the tests that none of them ran, and not why.
import type { Callback, Test } from 'uvu'

/** Adds what is done before the tests of a suite. What it throws is printed. */
export const beforeAll = (test: Test, hook: Callback): void =>
  test.before(async context => {
    try {
      await hook(context)
    } catch (error) {
      console.error(error)
      throw error
    }
  })
