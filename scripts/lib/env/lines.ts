// The lines of an env file, before their values are looked at.
import { valueAlphabet } from './example.ts'

/** A line that the three readers of env files would not read alike. */
interface BadLine {
  key: string
  why: string
  remedy: string
}

/** What is wrong with the text of an env file. What passes, dotenv reads as it stands. */
export function findBadLines(text: string): BadLine[] {
  if (text.includes('\0'))
    return [{ key: '', why: 'holds NUL bytes', remedy: 'write it again as plain text' }]
  const bad: BadLine[] = []
  if (text.includes('\r'))
    bad.push({ key: '', why: 'has Windows line ends (CRLF)', remedy: "sed -i 's/\\r$//' on it" })
  const seen = new Map<string, number>()
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1
    const text = raw.replace(/\r$/, '')
    if (!text.trim() || text.startsWith('#')) continue
    // nothing but capitals is taken for a key: a line of a pasted private key must not be named
    const [, key = '', value = ''] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(text) ?? []
    const loose = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*[=:]/.exec(text)?.[1] ?? ''
    const first = seen.get(key)
    const say = (why: string, remedy: string, at = key) => bad.push({ key: at, why, remedy })
    if (!key)
      say(
        `line ${line} is neither a comment nor KEY=value`,
        'write KEY=value, with nothing before it or around the =',
        loose,
      )
    else if (first) say(`is set in lines ${first} and ${line}`, 'delete one of them')
    else if (/<.*>/.test(value)) say('is a placeholder', 'set the real value, or leave it empty')
    else if (!valueAlphabet.test(value))
      say(
        'has a character that Compose, dotenv and kubectl do not read alike',
        'no quotes, spaces or comments; only letters, digits and _ + / = . : @ , -',
      )
    seen.set(key, line)
  }
  return bad
}
