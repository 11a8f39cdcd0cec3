// The messages of notify.ts: what a deploy tells people, in Slack's and Discord's form and within
// their limits.
import { formatDuration } from '../report.ts'
import { kindStyles, type DeployEvent } from './event.ts'
import {
  sanitizeLine,
  sanitizeLink,
  sanitizeText,
  truncateEnd,
  truncateStart,
  type EscapeText,
} from './text.ts'

/** What both messages say. */
function messageContents({ kind, failure = {}, ...event }: DeployEvent) {
  const { application, pod, container, reason, exitCode, cause = '', log = '', next = '' } = failure
  const commit = event.commit?.replace(/^([0-9a-f]{12})[0-9a-f]{28,}$/, '$1')
  const took = event.ms === undefined ? undefined : formatDuration(event.ms)
  const facts = {
    Release: event.release,
    Commit: commit,
    By: event.actor,
    Took: took,
    Application: application,
    Pod: pod,
    Container: container,
    Reason: reason,
    'Exit code': exitCode?.toString(),
  }
  return {
    ...kindStyles[kind],
    title: kindStyles[kind].title(
      `${event.verb === 'rollback' ? 'Rollback of' : 'Deploy to'} ${sanitizeLine(event.environment)}`,
      sanitizeLine(event.environment),
    ),
    facts: Object.entries(facts)
      .map(([label, value]) => [label, sanitizeLine(value ?? '')] as const)
      .filter(([, value]) => value),
    cause: sanitizeLine(cause),
    next: sanitizeLine(next),
    serving: sanitizeLine(event.serving ?? ''),
    log: sanitizeText(log).trimEnd(),
    link: sanitizeLink(event.link),
  }
}

// Slack reads & < > in every text; its plain_text knows no other markup
const escapeSlack: EscapeText = text =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** An incoming webhook's message in Block Kit. Limits: 150 characters a header, 2000 a field, 3000 a text. */
export function formatSlackMessage(event: DeployEvent) {
  const { title, facts, cause, log, next, serving, link } = messageContents(event)
  const plain = (text: string, max: number) => ({
    type: 'plain_text',
    text: truncateEnd(text, max, escapeSlack),
    emoji: false,
  })
  const marked = (text: string) => ({ type: 'mrkdwn', text, verbatim: true })
  const blocks: object[] = [{ type: 'header', text: plain(title, 150) }]
  if (facts.length)
    blocks.push({
      type: 'section',
      fields: facts.map(([label, value]) =>
        marked(`*${label}*\n\`${truncateEnd(value, 256, escapeSlack)}\``),
      ),
    })
  if (cause) blocks.push({ type: 'section', text: plain(`Likely cause: ${cause}`, 1500) })
  if (log)
    blocks.push({
      type: 'section',
      text: marked(`*Last log lines*\n\`\`\`\n${truncateStart(log, 2900, escapeSlack)}\n\`\`\``),
    })
  if (next)
    blocks.push({
      type: 'section',
      text: marked(`*Next*\n\`${truncateEnd(next, 1000, escapeSlack)}\``),
    })
  if (serving) blocks.push({ type: 'section', text: plain(`Serving now: ${serving}`, 1500) })
  if (link)
    blocks.push({ type: 'context', elements: [marked(`<${escapeSlack(link)}|Open the run>`)] })
  return { text: truncateEnd(title, 150, escapeSlack), blocks }
}

const escapeDiscord: EscapeText = text => text.replace(/[\\*_~|<>[\]#]/g, '\\$&')
const keepText: EscapeText = text => text

/** A webhook's message with one embed. Limits: 256 characters a title, 1024 a field, 4096 the description, 6000 in all. */
export function formatDiscordMessage(event: DeployEvent) {
  const { color, facts, cause, log, next, serving, link, ...words } = messageContents(event)
  const title = truncateEnd(words.title, 256, escapeDiscord)
  const fields = facts.map(([name, value]) => ({
    name,
    value: `\`${truncateEnd(value, 256, keepText)}\``,
    inline: true,
  }))
  if (next)
    fields.push({ name: 'Next', value: `\`${truncateEnd(next, 1000, keepText)}\``, inline: false })
  if (serving)
    fields.push({
      name: 'Serving now',
      value: truncateEnd(serving, 1000, escapeDiscord),
      inline: false,
    })
  const used =
    title.length + fields.reduce((sum, { name, value }) => sum + name.length + value.length, 0)

  const description = cause ? [`**Likely cause:** ${truncateEnd(cause, 1000, escapeDiscord)}`] : []
  const room = Math.min(4096, 6000 - used) - description.join('').length
  if (log)
    description.push(
      `**Last log lines**\n\`\`\`\n${truncateStart(log, room - 40, keepText)}\n\`\`\``,
    )
  const embed = {
    title,
    color,
    ...(link ? { url: link } : {}),
    ...(description.length ? { description: description.join('\n') } : {}),
    fields,
  }
  return { embeds: [embed], allowed_mentions: { parse: [] } }
}
