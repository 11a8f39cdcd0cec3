// Texts that programs print.

/** The last line that says something; '' when none does. */
export const lastLineOf = (text: string): string => text.trim().split('\n').at(-1) ?? ''

/** How long ago, readable: `12 min`, `26 h`, `9 days`. */
export const formatAge = (ms: number): string => {
  const hours = ms / 3_600_000
  if (hours < 1) return `${Math.max(0, Math.round(hours * 60))} min`
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`
}
