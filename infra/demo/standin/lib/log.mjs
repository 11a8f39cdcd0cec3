// One line per event on standard output.

/** @typedef {(message: string, fields?: Record<string, unknown>) => void} Line */

/**
 * A logger in the application's own manner: `text`, or `json` with one object per line.
 * @param {'text' | 'json'} style
 * @param {string} name who speaks, for instance `twenty/worker`
 * @returns {{ info: Line, warn: Line, error: Line }}
 */
export function logger(style, name) {
  const line = level => (message, fields = {}) => {
    const time = new Date().toISOString()
    if (style === 'json') return console.log(JSON.stringify({ time, level, name, message, ...fields }))
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    console.log(`${time} ${level.toUpperCase().padEnd(5)} [${name}] ${message}${rest.join('')}`)
  }
  return { info: line('info'), warn: line('warn'), error: line('error') }
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
