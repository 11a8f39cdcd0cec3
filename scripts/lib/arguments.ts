// What a person wrote behind a script's name.

/**
 * The words behind the script, whether node runs it or zx, which leaves the script's own name among
 * them.
 */
export const readScriptArguments = (): string[] =>
  process.argv.slice(process.argv.findIndex(word => word.endsWith('.ts')) + 1)

/** Whether help is asked for. */
export const wantsHelp = (): boolean =>
  readScriptArguments().some(word => word === '--help' || word === '-h')
