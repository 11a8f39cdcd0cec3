// Makes text harmless for a chat, and as short as it must be there.
import { stripVTControlCharacters } from 'node:util'
import { redact } from '../redact.ts'

/**
 * Text without known secrets, escape sequences and invisible characters, that calls nobody and
 * cannot leave a code block.
 */
export const sanitizeText = (text: string): string =>
  redact(
    stripVTControlCharacters(text)
      .replace(/\r\n?/g, '\n')
      .replace(/[\p{Cf}\p{Cs}]|(?![\n\t])\p{Cc}/gu, ''),
  )
    .replaceAll('`', "'")
    .replace(/@(?=everyone|here|channel)/gi, '@\u200b')

/** The same on one line. */
export const sanitizeLine = (text: string): string => sanitizeText(text).replace(/\s+/g, ' ').trim()

/** A web address that may stand in a message. */
export function sanitizeLink(given = ''): string | undefined {
  const link = redact(given.trim())
  if (!/^https?:\/\//.test(link) || !URL.canParse(link)) return undefined
  const { href } = new URL(link)
  return href.length <= 1000 ? href.replaceAll('|', '%7C') : undefined
}

/** Writes a text in the markup of a service. */
export type EscapeText = (text: string) => string

/** The beginning of a text, as long as it fits once it is written. */
export function truncateEnd(text: string, max: number, write: EscapeText): string {
  if (write(text).length <= max) return write(text)
  let kept = text.slice(0, max - 1)
  while (write(kept).length >= max) kept = kept.slice(0, -1)
  return `${write(kept.replace(/[\uD800-\uDBFF]$/, ''))}…`
}

/** The last lines of a log that fit once they are written; of a line that is too long alone, its end. */
export function truncateStart(text: string, max: number, write: EscapeText): string {
  if (write(text).length <= max) return write(text)
  let kept = text.slice(-max)
  do
    kept = kept.includes('\n')
      ? kept.slice(kept.indexOf('\n') + 1)
      : kept.slice(Math.ceil(kept.length / 20))
  while (write(kept).length > max - 2)
  return `…\n${write(kept.replace(/^[\uDC00-\uDFFF]/, ''))}`
}
