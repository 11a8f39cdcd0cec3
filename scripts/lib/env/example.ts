// What a .env.example says: the keys, and where their values come from.
import { randomBytes, randomUUID } from 'node:crypto'
import { Failure, exit } from '../errors.ts'

/** The characters that Compose, dotenv and kubectl read alike without quotes. */
export const valueAlphabet = /^[A-Za-z0-9_+/=.:@,-]*$/

export const valueFormats = [
  'url',
  'origin',
  'host',
  'email',
  'port',
  'int',
  'bool',
  'uuid',
  'hex',
  'base64',
  'alnum',
  'hosts',
  'origins',
  'duration',
  'owner',
  'any',
  'networks',
  'domain',
  'port-suffix',
  'time-zone',
] as const
export type ValueFormat = (typeof valueFormats)[number]

/** A key of an example. */
export interface ExampleEntry {
  key: string
  /** The value that stands in the example. */
  value: string
  /** The comment lines above it, with their #. */
  comment: string[]
  /** Whether a blank line stands above. */
  gap: boolean
  required: boolean
  secret: boolean
  /** The value follows the root file's key of the same name. */
  shared: boolean
  /** The example's value, unless empty, wins over the file's. */
  pinned: boolean
  /** Old data cannot be read without it. */
  keep: boolean
  /**
   * `hex:24`, `base64:32`, `alnum:32`, `password:24` (of every class that password rules ask for)
   * or `uuid`.
   */
  generate?: string
  /**
   * How another value takes its place (`up.ts --rotate-secret`): a second `login` of the database, a
   * second password of `redis`, or a `restart` of what reads it.
   */
  rotate?: (typeof rotationKinds)[number]
  format?: ValueFormat
  /** Of a number its value, else the length of the text. */
  min?: number
  max?: number
  oneof?: string[]
  /**
   * Keys that must be set when this one is; with a `value` when it is that. `wanted`: what the other
   * is expected to be, else it is remarked.
   */
  with?: { value?: string; key: string; wanted?: string }[]
  /** Values by environment, instead of `value`. */
  environments: Record<string, string>
}

const rotationKinds = ['login', 'redis', 'restart'] as const
const flags = ['required', 'secret', 'shared', 'pinned', 'keep'] as const

/**
 * The entries of an example. Throws Failure (usage) that names the line it cannot read; `name` is
 * the file's.
 */
export function parseExample(text: string, name = '.env.example'): ExampleEntry[] {
  if (text.includes('\r'))
    throw new Failure(exit.usage, `Read ${name}`, 'it has Windows line ends (CRLF)', {
      next: `sed -i 's/\\r$//' ${name}   (git writes none here: what else was copied has them, too)`,
    })
  const entries: ExampleEntry[] = []
  let comment: string[] = []
  let attributes: { line: number; words: string[] } | undefined
  let gap = false
  for (const [index, line] of text.split('\n').entries()) {
    const fail = (why: string, at = index) => {
      throw new Failure(exit.usage, `Read ${name}`, `line ${at + 1}: ${why}`, {
        next: `git diff ${name}`,
      })
    }
    const key = /^([A-Z][A-Z0-9_]*)=/.exec(line)?.[1]
    if (attributes && !key) fail('the attributes are not directly above a key', attributes.line)
    if (line.startsWith('#@'))
      attributes = { line: index, words: line.slice(2).split(' ').filter(Boolean) }
    else if (line.startsWith('#')) comment.push(line)
    else if (!line.trim()) [comment, gap] = [[], true]
    else if (!key) fail('neither a comment nor KEY=value')
    else {
      const value = line.slice(key.length + 1)
      if (entries.some(entry => entry.key === key)) fail(`${key} is in the file twice`)
      if (!valueAlphabet.test(value)) fail(`${key}: a character outside ${valueAlphabet.source}`)
      const entry = {
        key,
        value,
        comment,
        gap,
        required: false,
        secret: false,
        shared: false,
        pinned: false,
        keep: false,
        environments: {},
      }
      for (const word of attributes?.words ?? []) applyAttribute(entry, word, fail)
      entries.push(entry)
      ;[comment, attributes, gap] = [[], undefined, false]
    }
  }
  return entries
}

function applyAttribute(entry: ExampleEntry, word: string, fail: (why: string) => void): void {
  const at = word.indexOf('=')
  const [name, value] = at < 0 ? [word] : [word.slice(0, at), word.slice(at + 1)]
  const flag = flags.find(known => known === name)
  if (flag && value === undefined) return void (entry[flag] = true)
  if (flag || value === undefined || !/^[a-z][a-z0-9-]*$/.test(name))
    return fail(`unknown attribute ${word}`)
  if (name === 'generate')
    return /^((hex|base64|alnum|password):[1-9]\d*|uuid)$/.test(value)
      ? void (entry.generate = value)
      : fail(`unknown ${word}`)
  if (name === 'rotate') {
    const kind = rotationKinds.find(known => known === value)
    return kind ? void (entry.rotate = kind) : fail(`unknown ${word}`)
  }
  if (name === 'format') {
    const format = valueFormats.find(known => known === value)
    return format ? void (entry.format = format) : fail(`unknown ${word}`)
  }
  if (name === 'min' || name === 'max')
    return /^\d+$/.test(value) ? void (entry[name] = Number(value)) : fail(`${name} wants a number`)
  if (name === 'oneof') return void (entry.oneof = value.split('|'))
  if (name === 'with') return void (entry.with = value.split('|').map(parseRequiredKey))
  if (!valueAlphabet.test(value))
    return fail(`${entry.key}: a character outside ${valueAlphabet.source}`)
  entry.environments[name] = value
}

/** `KEY`, `value:KEY`, or `KEY=wanted`. */
function parseRequiredKey(word: string) {
  const [name = '', value] = word.split(':').toReversed()
  const [key = '', wanted] = name.split('=')
  return {
    key,
    ...(value === undefined ? {} : { value }),
    ...(wanted === undefined ? {} : { wanted }),
  }
}

/** The example's own value in an environment; '' is the machine's own. */
export const defaultValue = (entry: ExampleEntry, environment: string): string =>
  entry.environments[environment] ?? entry.value

/** A new value as `generate` says. */
export function generateValue(how: string): string {
  const [kind, size = '0'] = how.split(':')
  if (kind === 'uuid') return randomUUID()
  if (kind === 'password') return generatePassword(Number(size))
  return kind === 'alnum'
    ? generateAlnum(Number(size))
    : randomBytes(Number(size)).toString(kind === 'hex' ? 'hex' : 'base64')
}

function generateAlnum(length: number): string {
  const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
  let text = ''
  // 248 = 4 × 62: bytes above it would make the first characters likelier
  while (text.length < length)
    for (const byte of randomBytes(length))
      if (byte < 248 && text.length < length) text += characters[byte % 62]
  return text
}

/** Letters of both cases, digits and a _, whatever chance says. */
function generatePassword(length: number): string {
  const text = `${generateAlnum(length - 1)}_`
  return /[a-z]/.test(text) && /[A-Z]/.test(text) && /\d/.test(text)
    ? text
    : generatePassword(length)
}
