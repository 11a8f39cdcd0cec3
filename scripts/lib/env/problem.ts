/** What is wrong with an env file; never a value of it. */
export interface EnvProblem {
  /** Relative to the repository. */
  file: string
  /** '' when it is the whole file. */
  key: string
  problem: string
  remedy: string
  /**
   * The example has gone on since the file was written: a key is missing, or pinned to another
   * value.
   */
  outdated?: true
  /** Compose would read another value than is written. */
  altered?: true
  /** It may be meant so: it is said, and is no fault. */
  remark?: true
}
