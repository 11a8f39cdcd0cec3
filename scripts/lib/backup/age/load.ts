// The library that encrypts. It is loaded by what encrypts only: its curves cost every start of a script a
// tenth of a second.

let isQuiet = false

/** The library, without Node's warning that X25519 of its Web Crypto is experimental. */
export async function loadAge(): Promise<typeof import('age-encryption')> {
  if (!isQuiet) silenceWarning()
  isQuiet = true
  return import('age-encryption')
}

/** Node 20.19, that of Debian 13, and 22.11 say it at each backup, and nobody who reads it can do anything. */
function silenceWarning(): void {
  const warn = process.emitWarning.bind(process) as (...words: unknown[]) => void
  process.emitWarning = (...words: unknown[]) => {
    if (!/^The X25519 Web Crypto API algorithm/.test(String(words[0]))) warn(...words)
  }
}
