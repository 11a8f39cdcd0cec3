// One line per event on standard output.

/** @typedef {(message: string, fields?: Record<string, unknown>) => void} Line */

/**
 * A logger in the application's own manner: `text`, or `json` with one object per line.
 * @param {'text' | 'json'} style
 * @param {string} name who speaks, for instance `twenty/worker`
 * @returns {{ info: Line, warn: Line, error: Line }}
 */
export function logger(style, name) {
  const line =
    level =>
    (message, fields = {}) => {
      const time = new Date().toISOString()
      if (style === 'json')
        return console.log(JSON.stringify({ time, level, name, message, ...fields }))
      const rest = Object.entries(fields).map(
        ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
      )
      console.log(`${time} ${level.toUpperCase().padEnd(5)} [${name}] ${message}${rest.join('')}`)
    }
  return { info: line('info'), warn: line('warn'), error: line('error') }
}

/**
 * Keeps what is printed back until there are 8 KB of it or the process ends by itself, as Python and Ruby do with a pipe: unless a variable of
 * `buffered` has what switches it off, a process that is killed takes its last lines along.
 * @param {Record<string, string> | undefined} buffered patterns by the names of variables; undefined: an application that writes at once
 */
export function holdBack(buffered, env) {
  if (
    !buffered ||
    Object.entries(buffered).some(([name, pattern]) => new RegExp(pattern).test(env[name] ?? ''))
  )
    return
  const write = process.stdout.write.bind(process.stdout)
  let kept = ''
  const release = () => {
    write(kept)
    kept = ''
  }
  process.stdout.write = text => {
    kept += text
    if (kept.length >= 8192) release()
    return true
  }
  process.on('exit', release)
}

/** What the application would not start with. */
export class Refusal extends Error {
  /**
   * @param {string} what the variable or fact
   * @param {string} why
   * @param {string} section of the upstream notes
   */
  constructor(what, why, section) {
    super(`refused: ${what}: ${why} (${section})`)
  }
}

/** A failure that the application itself would report in one line. */
export class Broken extends Error {}
