// Keeps secrets out of everything that is printed.

/** The longest first: what begins like another must not leave its end. */
let secrets: string[] = []

/**
 * Remembers a value that must never be printed. Short ones (under 6 characters) would blank
 * ordinary words and are left.
 */
export function keepSecret(value: string | undefined): void {
  if (!value || value.length < 6 || secrets.includes(value)) return
  secrets = [...secrets, value].sort((a, b) => b.length - a.length)
}

/** The text with every remembered secret replaced. */
export function redact(text: string): string {
  let clean = text
  for (const secret of secrets) clean = clean.replaceAll(secret, '[secret]')
  return clean
}
