// The formats that a value of an env file may have.
import { isIP } from 'node:net'
import type { ValueFormat } from './example.ts'

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

/** By format: whether a text has it, and what it wants, for a sentence. */
export const formatRules: Record<ValueFormat, { test: (text: string) => boolean; wants: string }> =
  {
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
