// The lines of an env file, before their values are checked.
import { valueAlphabet, type ExampleEntry } from './example.ts'

/** A line that the three readers of env files would not read alike. */
export interface BadLine {
  key: string
  why: string
  remedy: string
  /** Compose would read another value than is written. */
  altered?: true
}

/** A value between single quotes, which all readers take as it stands. */
const quotedValue = /^'[^'\p{Cc}]*(?<!\\)'$/u

/** A value as a line holds it. */
export const quoteValue = (value: string): string =>
  valueAlphabet.test(value) ? value : `'${value}'`

/** What is wrong with the text as a whole, before it is read line by line. */
function findBadText(text: string): BadLine[] {
  if (text.includes('\0'))
    return [{ key: '', why: 'holds NUL bytes', remedy: 'write it again as plain text' }]
  const mark = 'begins with a byte order mark, which Windows editors write'
  return [
    ...(text.startsWith('\uFEFF')
      ? [{ key: '', why: mark, remedy: "sed -i '1s/^\\xEF\\xBB\\xBF//' on it" }]
      : []),
    ...(text.includes('\r')
      ? [{ key: '', why: 'has Windows line ends (CRLF)', remedy: "sed -i 's/\\r$//' on it" }]
      : []),
  ]
}

/** The lines of a text that say something, by number, without a byte order mark and line ends. */
const linesOf = (text: string): [line: number, text: string][] =>
  text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((raw, index): [number, string] => [index + 1, raw.replace(/\r$/, '')])
    .filter(([, line]) => line.trim() && !line.startsWith('#'))

/**
 * Whether something else arrives than is written, quotes around it aside: Compose replaces $NAME
 * and cuts off blanks and what follows a #.
 */
const isAltered = (value: string): boolean =>
  /\$|^["']|\s#|^\s|\s$/.test(value) && !quotedValue.test(value) && !/^"[^"\\$]*"$/.test(value)

/**
 * What is wrong with the text of an env file that `entries` describe. What passes, dotenv reads as
 * it stands.
 */
export function findBadLines(text: string, entries: ExampleEntry[]): BadLine[] {
  const bad = findBadText(text)
  if (text.includes('\0')) return bad
  const seen = new Map<string, number>()
  for (const [line, content] of linesOf(text)) {
    // nothing but capitals is taken for a key: a line of a pasted private key must not be named
    const [, key = '', value = ''] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(content) ?? []
    const loose = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*[=:]/.exec(content)?.[1] ?? ''
    const first = seen.get(key)
    const quotable = entries.some(entry => entry.key === key && entry.format === 'any')
    const say = (why: string, remedy: string, at = key) =>
      bad.push({ key: at, why, remedy, ...(isAltered(value) ? { altered: true } : {}) })
    if (!key)
      say(
        `line ${line} is neither a comment nor KEY=value`,
        'write KEY=value, with nothing before it or around the =',
        loose,
      )
    else if (first) say(`is set in lines ${first} and ${line}`, 'delete one of them')
    else if (/<.*>/.test(value)) say('is a placeholder', 'set the real value, or leave it empty')
    else if (!valueAlphabet.test(value) && !(quotable && quotedValue.test(value)))
      say(
        'has a character that Compose, dotenv and kubectl do not read alike',
        quotable
          ? 'write it between single quotes; it cannot hold one, nor end with a \\'
          : 'no quotes, spaces or comments; only letters, digits and _ + / = . : @ , -',
      )
    seen.set(key, line)
  }
  return bad
}

/**
 * What is wrong with the text of a file that Compose hands to a container as it reads it
 * (`env_file`, extra.env): lines of which something else would arrive than is written.
 */
export function findAlteredLines(text: string): BadLine[] {
  const whole = findBadText(text).filter(({ why }) => why.includes('NUL'))
  if (whole.length) return whole
  return linesOf(text).flatMap(([line, content]) => {
    const [, key = '', value = ''] = /^([A-Za-z_][A-Za-z0-9_.-]*)=(.*)$/.exec(content) ?? []
    const bad = (why: string, remedy: string): BadLine[] => [
      { key, why: `line ${line} ${why}`, remedy, altered: true },
    ]
    if (!key)
      return bad(
        'is neither a comment nor KEY=value',
        'write KEY=value, with nothing before it or around the =; a name alone takes its value from the shell',
      )
    return isAltered(value)
      ? bad(
          'would arrive as another value: Compose replaces $NAME and cuts off blanks and what follows a #',
          `write ${key}='…' between single quotes; it cannot hold one`,
        )
      : []
  })
}

/** The values of such a text as Compose reads them, where nothing is wrong with it. */
export const parseExtraFile = (text: string): Record<string, string> =>
  Object.fromEntries(
    linesOf(text).flatMap(([, line]) => {
      const at = line.indexOf('=')
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1).replace(/^(['"])(.*)\1$/, '$2')]] : []
    }),
  )
