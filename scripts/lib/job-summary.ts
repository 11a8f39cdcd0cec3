// The summary of a workflow's job: what a script did, as Markdown in the file that
// GITHUB_STEP_SUMMARY names.
import { appendFileSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'
import type { Failure } from './errors.ts'
import { writeStderr } from './output.ts'
import { redact } from './redact.ts'

export interface JobSummary {
  title: string
  /** By name; those without a value are left out. */
  facts: Record<string, string | undefined>
  /** Lists by name, folded behind how many there are. */
  lists?: Record<string, string[]>
  /** The steps, and how long they took. */
  steps: { name: string; took: string; ok: boolean }[]
}

const summary = {
  title: '',
  facts: {},
  lists: {},
  steps: [],
} satisfies JobSummary as Required<JobSummary>

/** Names what the script does, so that there will be a summary, or adds facts to it. */
export function addSummaryFacts(facts: JobSummary['facts'], title = summary.title): void {
  Object.assign(summary.facts, facts)
  summary.title = title
}

/** Adds lists to it; empty ones are left out. */
export const addSummaryLists = (lists: Record<string, string[]>): void =>
  void Object.assign(summary.lists, lists)

export const addSummaryStep = (name: string, took: string, ok: boolean): void =>
  void summary.steps.push({ name, took, ok })

/**
 * Writes it, once, with how the script ended; never throws: what it says stands in the log, too.
 */
export function writeJobSummary(end: string | Failure): void {
  const file = process.env.GITHUB_STEP_SUMMARY
  if (!file || !summary.title) return
  try {
    appendFileSync(file, renderJobSummary(summary, end))
  } catch (error) {
    writeStderr(`⚠ the job's summary cannot be written: ${(error as Error).message}\n`)
  }
  summary.title = ''
}

/** GitHub takes 1 MiB of all that a step writes. */
const maxLogCharacters = 100_000

function describeEnd(end: string | Failure): string {
  if (typeof end === 'string') return end.includes('\n') ? 'done' : end
  return `${end.code === 130 ? 'interrupted' : 'failed'} (exit code ${end.code})`
}

/** A summary as Markdown. */
export function renderJobSummary(
  { title, facts, lists = {}, steps }: JobSummary,
  end: string | Failure,
): string {
  const failure = typeof end === 'string' ? undefined : end
  const block = typeof end === 'string' && end.includes('\n')
  const rows = [
    ...Object.entries(facts).flatMap(([name, value]) =>
      value ? [[name, sanitizeLine(value)]] : [],
    ),
    ...steps.map(({ name, took, ok }) => [name, `${took}${ok ? '' : ' ✘'}`]),
    ['Result', sanitizeLine(describeEnd(end))],
  ]
  const parts = [
    `### ${failure ? '✘' : '✔'} ${sanitizeLine(title)}`,
    [
      '| | |',
      '|---|---|',
      ...rows.map(([name, value]) => `| ${sanitizeLine(name!)} | ${value} |`),
    ].join('\n'),
  ]
  for (const [name, list] of Object.entries(lists))
    if (list.length) parts.push(foldedList(name, list))
  if (block) parts.push(fencedBlock(end as string))
  if (failure) {
    const { what, why, evidence, next, serving } = failure
    parts.push(`**Cause** ${sanitizeLine(`${what}: ${why}`)}`)
    if (evidence) parts.push(fencedBlock(evidence))
    if (next) parts.push('**Next**', fencedBlock(next))
    if (serving) parts.push(`**Serving now** ${sanitizeLine(serving)}`)
  }
  return `${parts.join('\n\n')}\n\n`
}

/** The items of a list are seen when somebody unfolds it. */
const foldedList = (name: string, list: string[]): string =>
  `<details><summary>${sanitizeLine(name)}: ${list.length}</summary>\n\n${list.map(one => `- ${sanitizeLine(one)}`).join('\n')}\n\n</details>`

const sanitizeText = (text: string): string =>
  redact(
    stripVTControlCharacters(text)
      .replace(/\r\n?/g, '\n')
      .replace(/[\p{Cf}\p{Cs}]|(?![\n\t])\p{Cc}/gu, ''),
  )

/**
 * One line, in which nothing is markup, a link or a mention; a commit stays a link, for GitHub
 * makes one of it.
 */
const sanitizeLine = (text: string): string =>
  sanitizeText(text)
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 2000)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/[\\`*_~|[\]#!>]/g, '\\$&')
    .replaceAll('@', '@\u200b')

/** A block that ends where it should: its fence is longer than any in the text. */
function fencedBlock(text: string): string {
  const kept = sanitizeText(text).trimEnd()
  const shown = kept.length > maxLogCharacters ? `…\n${kept.slice(-maxLogCharacters)}` : kept
  const longest = Math.max(2, ...(shown.match(/`+/g) ?? []).map(({ length }) => length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}text\n${shown}\n${fence}`
}
