// Judges one value of an env file. Its messages never contain the value.
import { isIP } from 'node:net'
import { valueAlphabet, type ExampleEntry, type ValueFormat } from './example.ts'

interface ValueProblem {
  problem: string
  remedy: string
}

const hostLabel = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
const hostPattern = new RegExp(`^(?=.{1,253}$)${hostLabel}(\\.${hostLabel})*$`, 'i')
const isListOf = (text: string, one: (part: string) => boolean) => text.split(',').every(one)
const isPort = (text: string) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535

function isUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return Boolean(
    url &&
    /^https?:$/.test(url.protocol) &&
    /^https?:\/\/[^/]/.test(text) &&
    hostPattern.test(url.hostname),
  )
}
/** Whether GitHub and GHCR could have such an owner. */
export const isOwnerName = (text: string): boolean =>
  /^(?=.{1,39}$)[a-z\d]+(-[a-z\d]+)*$/.test(text)
const isOrigin = (text: string) =>
  isUrl(text) && new URL(text).origin === text.replace(/^(http:.*):80$|^(https:.*):443$/, '$1$2')

/** An address, or a network by its prefix. */
function isNetwork(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const bits = { 4: 32, 6: 128 }[isIP(address)] ?? -1
  return (
    !more.length &&
    bits > 0 &&
    (prefix === undefined || /^\d+$/.test(prefix)) &&
    Number(prefix ?? 0) <= bits
  )
}

/** Whether an IANA name of a time zone; capitals count, as they do where files are looked up. */
function isTimeZone(text: string): boolean {
  if (!/^[A-Z][\w+-]*(\/[A-Z][\w+-]*)*$/.test(text)) return false
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions()
    return timeZone === text || timeZone.toLowerCase() !== text.toLowerCase()
  } catch {
    return false
  }
}

const formatRules: Record<ValueFormat, { test: (text: string) => boolean; wants: string }> = {
  url: { test: isUrl, wants: 'an address that starts with http:// or https://' },
  origin: {
    test: isOrigin,
    wants: 'only scheme, host and port: https://crm.kgc.hu, with no slash at its end',
  },
  origins: {
    test: text => isListOf(text, isOrigin),
    wants:
      'addresses such as https://crm.kgc.hu with commas between them, with no slash at the end',
  },
  host: {
    test: text => hostPattern.test(text),
    wants: 'only a host name, without scheme, port or slash',
  },
  hosts: {
    test: text => isListOf(text, part => hostPattern.test(part)),
    wants: 'host names with commas between them, without scheme, port or slash',
  },
  domain: {
    test: text => hostPattern.test(text) && !/(^|\.)\d+$/.test(text),
    wants: 'a domain name alone, no address, without scheme, port or slash',
  },
  networks: {
    test: text => isListOf(text, isNetwork),
    wants: 'addresses such as 192.0.2.7 or networks such as 10.0.0.0/8, with commas between them',
  },
  'port-suffix': {
    test: text => text.startsWith(':') && isPort(text.slice(1)),
    wants: 'a colon and a port, such as :8443, or nothing at all',
  },
  'time-zone': {
    test: isTimeZone,
    wants: 'the name of a time zone as the IANA has it, such as Europe/Budapest',
  },
  email: {
    test: text =>
      /^[\w.+-]+@[^@]+\.[^@]+$/.test(text) && hostPattern.test(text.split('@')[1] ?? ''),
    wants: 'one e-mail address',
  },
  port: { test: isPort, wants: 'a port from 1 to 65535' },
  int: { test: text => /^(0|-?[1-9]\d*)$/.test(text), wants: 'a whole number' },
  bool: { test: text => text === 'true' || text === 'false', wants: 'true or false' },
  uuid: { test: text => /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text), wants: 'a UUID' },
  hex: { test: text => /^[\da-f]+$/i.test(text), wants: 'hexadecimal digits' },
  base64: {
    test: text => /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0,
    wants: 'whole base64',
  },
  alnum: { test: text => /^[A-Za-z0-9]+$/.test(text), wants: 'letters and digits only' },
  owner: {
    test: isOwnerName,
    wants: "an owner's name on GitHub in lower case, because GHCR accepts no other",
  },
  any: { test: () => true, wants: 'any characters, between single quotes where it needs them' },
  duration: {
    test: text => /^\d+(ms|s|m|h|d)$/.test(text),
    wants: 'a number with ms, s, m, h or d',
  },
}

// Short words count only when they stand alone between separators, which + and / are not: chance
// puts them into a random value, and base64 puts those around them.
const placeholderWords =
  /(^|[^A-Za-z0-9+/=])(x{3,}|to-?do|tbd|fixme|your|yours|dummy|sample)(?=$|[^A-Za-z0-9+/=])/i
const placeholderParts =
  /change[-_.]?(me|this|it)|passw(or)?[dt]|placeholder|example|replace[-_.]?(me|this|with)|insecure/i
const plainPlaceholder =
  /^(change[-_.]?me|x{3,}|to-?do|tbd|fixme|placeholder|example)$|^your[-_.]|(^|[./@-])(example\.(com|org|net|hu)|your-?(domain|company|host|server|mail))(?=$|[./:-])/i

const commonWords = new Set(
  `a access admin administrator api app application auth base change changeit client code crm database db default demo dev develop development
  for guest hash hex hmac hr in is it jwt key kgc letmein lengthy local localhost long me mail master minio minioadmin my not of only or pass postgres
  postgresql prod production pwd qwerty random redis replace root secret secure server session signature signing smtp staging strong super system test testing
  the this to token use user value very web welcome with`.split(/\s+/),
)

/**
 * Made of nothing but well-known words and the names around it, as shipped defaults are:
 * `postgres`, `super-secret-key`, `minioadmin1`.
 */
function isPubliclyKnown(value: string, names: Set<string>): boolean {
  // a key that a framework's generator marks as unsafe, and a shipped one that has been copied
  // around
  if (/^(django-insecure-|d3f6a[15])/i.test(value)) return true
  const words = value
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter(Boolean)
  return (
    words.length > 0 &&
    words.every(word => commonWords.has(word) || names.has(word)) &&
    value.replace(/\D/g, '').length <= 6
  )
}

/** Few characters, one piece repeated, or a run such as 12345678. */
function isEasilyGuessed(value: string): boolean {
  const steps = [...value]
    .slice(1)
    .map((character, i) => Math.abs(character.charCodeAt(0) - value.charCodeAt(i)))
  const period = Array.from({ length: Math.floor(value.length / 2) }, (_, i) => i + 1).some(size =>
    value.startsWith(value.slice(size)),
  )
  return (
    new Set(value).size < Math.min(8, value.length / 3) ||
    period ||
    steps.filter(step => step <= 1).length > steps.length * 0.6
  )
}

/** How a value that cannot be used is replaced. */
function describeRenewal({ keep, generate }: ExampleEntry, command: string): string {
  if (keep)
    return 'it cannot simply be replaced: the README of the folder says how it is changed with its data'
  return generate
    ? `empty it and run \`${command}\`; where it is in use already, change it there too`
    : 'set the real value'
}

/** How an empty value is filled. */
function describeFilling({ keep, generate }: ExampleEntry, command: string): string {
  if (keep) return 'put it back from the backup'
  return generate ? `run \`${command}\`` : 'set it'
}

/**
 * The first thing wrong with a value, or undefined. `names` are words that are public here, such as
 * the folders' names; `command` makes a new value.
 */
export function validateEnvValue(
  entry: ExampleEntry,
  value: string,
  names: Set<string>,
  command: string,
): ValueProblem | undefined {
  const { secret, generate, format, min, max, oneof } = entry
  const renew = describeRenewal(entry, command)
  if (!value)
    return entry.required
      ? { problem: 'is required and empty', remedy: describeFilling(entry, command) }
      : undefined
  if (format !== 'any' && !valueAlphabet.test(value))
    return {
      problem: 'has a character that Compose, dotenv and kubectl do not read alike',
      remedy: 'only letters, digits and _ + / = . : @ , -',
    }
  if (
    secret
      ? placeholderWords.test(value) || placeholderParts.test(value)
      : plainPlaceholder.test(value)
  )
    return { problem: 'is a placeholder', remedy: renew }
  if (secret && isPubliclyKnown(value, names))
    return { problem: 'is a publicly known default', remedy: renew }
  const number = format === 'int' || format === 'port'
  const size = number ? Number(value) : value.length
  if (!number && min !== undefined && size < min)
    return { problem: `is too short: it needs at least ${min} characters`, remedy: renew }
  if (format && !formatRules[format].test(value))
    return { problem: `has the wrong format: ${formatRules[format].wants}`, remedy: renew }
  const unit = number ? '' : ' characters'
  if (min !== undefined && size < min)
    return {
      problem: `is too small: it must be at least ${min}`,
      remedy: `from ${min}${max === undefined ? '' : ` to ${max}`}`,
    }
  if (max !== undefined && size > max)
    return {
      problem: `is too ${number ? 'large' : 'long'}: it may have at most ${max}${unit}`,
      remedy: `at most ${max}${unit}`,
    }
  if (oneof && !oneof.includes(value))
    return {
      problem: 'is not an allowed value',
      remedy: `one of: ${oneof.join(', ')}`,
    }
  // a password of a mail server is not ours to choose and stands in no address
  if (generate && /_PASSWORD$/.test(entry.key) && !/^[\w-]+$/.test(value))
    return {
      problem: 'is not allowed in the address that contains it',
      remedy: `only letters, digits, _ and -; ${renew}`,
    }
  return secret && isEasilyGuessed(value)
    ? { problem: 'is easily guessed: few different characters, or a pattern', remedy: renew }
    : undefined
}
