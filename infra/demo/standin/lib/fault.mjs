// Misbehaviour on request: STANDIN_FAULT is a comma list of
// crash · cut-off (killed in the middle of a line) · crash-after=SECONDS · hang · http500 · slow=SECONDS · migrate-fail

const known = {
  crash: false,
  'cut-off': false,
  'crash-after': true,
  hang: false,
  http500: false,
  slow: true,
  'migrate-fail': false,
}

/**
 * @param {string | undefined} text
 * @returns {Map<string, number>} the fault, and its number where it has one
 */
export function readFaults(text) {
  const faults = new Map()
  for (const part of (text ?? '').split(',').filter(Boolean)) {
    const [name, value] = part.split('=')
    if (!(name in known) || known[name] !== /^[0-9.]+$/.test(value ?? ''))
      throw new Error(
        `STANDIN_FAULT: ${part} is none of ${Object.keys(known)
          .map(key => key + (known[key] ? '=N' : ''))
          .join(', ')}`,
      )
    faults.set(name, Number(value ?? 1))
  }
  return faults
}
