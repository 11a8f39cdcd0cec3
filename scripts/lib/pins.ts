// Images that the YAML pins: which there are, whether their registries agree, and how they are written. Pure.

/** Where an image stands. */
export interface Place {
  file: string
  /** From 1. */
  line: number
  digest?: string
}

/** An image that is pinned, with all its places. */
export interface Pin {
  /** `name:tag`. */
  image: string
  places: Place[]
}

/** A line that names an image, by the file it stands in. */
const lines: [file: RegExp, line: RegExp][] = [
  [/\.ya?ml$/, /(^|[\s{,-])image:\s/],
  [/(^|\/)Dockerfile[^/]*$/, /^\s*(FROM\s|COPY\s+--from=|ARG\s+\w*(BASE|IMAGE)\w*=)/i],
  [/\.env\.example$/, /^\w*IMAGE\w*=/],
]
// the name begins the word, or stands behind the :- of a variable's default
const reference = /(?<=^|[\s"'=]|:-)((?:[\w.-]+(?::\d+)?\/)*[a-z0-9][\w.-]*:\w[\w.-]*)(?:@(sha256:[0-9a-f]{64}))?(?=$|[\s"',}])/g

const pinLine = (file: string, line: string): boolean =>
  lines.some(([name, pattern]) => name.test(file) && pattern.test(line)) && !/^\s*#/.test(line)

/** The images with a tag that stand in files, given as path and text. */
export function pinsIn(files: Map<string, string>): Pin[] {
  const pins = new Map<string, Place[]>()
  for (const [file, text] of files)
    for (const [index, line] of text.split('\n').entries())
      if (pinLine(file, line))
        for (const [, image, digest] of line.matchAll(reference))
          pins.set(image!, [...(pins.get(image!) ?? []), { file, line: index + 1, ...(digest ? { digest } : {}) }])
  return [...pins].map(([image, places]) => ({ image, places }))
}

/** The text with these digests (by image) behind their images; everything else as it was. */
export function repinned(file: string, text: string, digests: Map<string, string>): string {
  const change = (line: string) => line.replace(reference, (all, image: string) => (digests.has(image) ? `${image}@${digests.get(image)}` : all))
  return text
    .split('\n')
    .map(line => (pinLine(file, line) ? change(line) : line))
    .join('\n')
}

/** What a registry has under a pin's tag, or why that is not known; and whether it still has the pinned digest. */
export type Seen = { digest: string; oldIsThere?: boolean } | 'gone' | { unknown: string }
export type State = 'good' | 'gone' | 'moved' | 'no digest' | 'unknown'

export interface Verdict extends Pin {
  state: State
  /** In a few words, where the state needs some. */
  words: string
  /** What to write. */
  digest?: string
}

/** Whether a pin is what its registry has. */
export function judge(pin: Pin, seen: Seen): Verdict {
  if (seen === 'gone') return { ...pin, state: 'gone', words: 'its registry has no such tag: choose another' }
  if ('unknown' in seen) return { ...pin, state: 'unknown', words: seen.unknown }
  const { digest, oldIsThere } = seen
  const pinned = pin.places.flatMap(place => place.digest ?? [])
  const other = pinned.find(one => one !== digest)
  if (other) return { ...pin, digest, state: 'moved', words: `${short(other)} is pinned and ${oldIsThere ? 'still there' : 'gone'}, the tag is ${short(digest)}` }
  if (pinned.length === pin.places.length) return { ...pin, digest, state: 'good', words: '' }
  return { ...pin, digest, state: 'no digest', words: `${pin.places.length - pinned.length} of ${pin.places.length} places; the tag is ${short(digest)}` }
}

/** Enough of a digest to tell it from others. */
export const short = (digest: string): string => digest.slice(0, 19)
