// Versions, compared by number: 2.9 is older than 2.26.

/** Major, minor, patch. */
export type Version = [number, number, number]

/**
 * The first version in a text, `v4.18.0-ce` or `17`; undefined when it has none. `pattern` captures
 * major, minor and patch, of which the last two may be missing.
 */
export function parseVersion(
  text: string,
  pattern = /(\d+)(?:\.(\d+))?(?:\.(\d+))?/,
): Version | undefined {
  const found = pattern.exec(text)
  return found ? [Number(found[1]), Number(found[2] ?? 0), Number(found[3] ?? 0)] : undefined
}

export function isVersionBefore(a: Version, b: Version): boolean {
  const i = a.findIndex((part, i) => part !== b[i])
  return i >= 0 && (a[i] ?? 0) < (b[i] ?? 0)
}

/** Whether two versions have major and minor in common. */
export const isSameMinor = (a: Version, b: Version): boolean => a[0] === b[0] && a[1] === b[1]

/** Whether the version in a text is at least another. What cannot be read is taken for old. */
export function isVersionAtLeast(text: string, least: string): boolean {
  const [version, lowest] = [parseVersion(text), parseVersion(least)]
  return Boolean(version && lowest && !isVersionBefore(version, lowest))
}
