// Images that the YAML pins: which there are, whether their registries agree, and how they are
// written. Pure.

/** Where an image stands. */
export interface PinLocation {
  file: string
  /** From 1. */
  line: number
  digest?: string
}

/** An image that is pinned, with all its places. */
export interface Pin {
  /** `name:tag`. */
  image: string
  places: PinLocation[]
}

const reference = String.raw`((?:[\w.-]+(?::\d+)?\/)*[a-z0-9][\w.-]*:\w[\w.-]*)(?:@(sha256:[0-9a-f]{64}))?(?=$|[\s"',}])`
/**
 * Where an image stands in a line, by the file's name: behind a key, or as the default of a
 * variable there.
 */
const pinPatterns: [file: RegExp, before: string][] = [
  [/\.ya?ml$/, String.raw`^(?:[^#]*[\s{,])?image:\s+["']?(?:\$\{\w+:-)?`],
  [
    /(^|\/)Dockerfile[^/]*$/,
    String.raw`^\s*(?:FROM\s+(?:--\S+\s+)?|COPY\s+--from=|ARG\s+\w*(?:BASE|IMAGE)\w*=)`,
  ],
  [/\.env\.example$/, String.raw`^\w*IMAGE\w*=`],
]

/** Finds the image of a line in such a file. */
function pinPatternFor(file: string): RegExp | undefined {
  const before = pinPatterns.find(([name]) => name.test(file))?.[1]
  return before ? new RegExp(`(?<=${before})${reference}`, 'g') : undefined
}

/** The images with a tag that stand in files, given as path and text. */
export function findPins(files: Map<string, string>): Pin[] {
  const pins = new Map<string, PinLocation[]>()
  for (const [file, text] of files) {
    const pattern = pinPatternFor(file)
    if (!pattern) continue
    for (const [index, line] of text.split('\n').entries())
      for (const [, image = '', digest] of line.matchAll(pattern))
        pins.set(image, [
          ...(pins.get(image) ?? []),
          { file, line: index + 1, ...(digest ? { digest } : {}) },
        ])
  }
  return [...pins].map(([image, places]) => ({ image, places }))
}

/**
 * The text with other images in the pins' places, as `change` says by `name:tag`; what it has
 * nothing for stays as it is.
 */
export function replacePins(
  file: string,
  text: string,
  change: (image: string) => string | undefined,
): string {
  const pattern = pinPatternFor(file)
  if (!pattern) return text
  const replace = (line: string) =>
    line.replace(pattern, (all, image: string) => change(image) ?? all)
  return text.split('\n').map(replace).join('\n')
}

/** The text with these digests (by image) behind their images; everything else as it was. */
export const replaceDigests = (file: string, text: string, digests: Map<string, string>): string =>
  replacePins(file, text, image =>
    digests.has(image) ? `${image}@${digests.get(image)}` : undefined,
  )

/**
 * What a registry has under a pin's tag, or why that is not known; and whether it still has the
 * pinned digest.
 */
export type PinLookup = { digest: string; oldIsThere?: boolean } | 'gone' | { unknown: string }
export type PinState = 'good' | 'gone' | 'moved' | 'no digest' | 'unknown'

export interface CheckedPin extends Pin {
  state: PinState
  /** In a few words, where the state needs some. */
  words: string
  /** What to write. */
  digest?: string
}

/** Whether a pin is what its registry has. */
export function judgePin(pin: Pin, seen: PinLookup): CheckedPin {
  if (seen === 'gone')
    return { ...pin, state: 'gone', words: 'its registry has no such tag: choose another' }
  if ('unknown' in seen) return { ...pin, state: 'unknown', words: seen.unknown }
  const { digest, oldIsThere } = seen
  const pinned = pin.places.flatMap(place => place.digest ?? [])
  const other = pinned.find(one => one !== digest)
  const now = `the tag is ${shortenDigest(digest)}`
  if (other)
    return {
      ...pin,
      digest,
      state: 'moved',
      words: `${shortenDigest(other)} is pinned and ${oldIsThere ? 'still there' : 'gone'}, ${now}`,
    }
  if (pinned.length === pin.places.length) return { ...pin, digest, state: 'good', words: '' }
  return {
    ...pin,
    digest,
    state: 'no digest',
    words: `${pin.places.length - pinned.length} of ${pin.places.length} places; ${now}`,
  }
}

/** Enough of a digest to tell it from others. */
export const shortenDigest = (digest: string): string => digest.slice(0, 19)
