// Secrets that are none: placeholders, defaults that everybody knows, patterns.

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
export function isPubliclyKnown(value: string, names: Set<string>): boolean {
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
export function isEasilyGuessed(value: string): boolean {
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

/** A value that waits for its own; a secret must not even contain the words of one. */
export const isPlaceholder = (value: string, secret: boolean): boolean =>
  secret
    ? placeholderWords.test(value) || placeholderParts.test(value)
    : plainPlaceholder.test(value)
