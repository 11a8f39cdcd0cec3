// What backups a folder has, and how good they are.
import { basename } from 'node:path'
import { emit, formatDuration, formatMegabytes, printResult, table } from '../../report.ts'
import { formatAge } from '../../text.ts'
import { clockToleranceMs, findBackups, findDamage, type FoundBackup } from '../manifest.ts'
import { judgeBackups } from '../retention/judge.ts'
import { readRecord } from './record.ts'
import { describeSummary, summarizeBackups, sumProof, sumStored } from './summary.ts'

/** Prints the backups in a folder, the newest first, each checked against its checksums, and of each project how well they serve. */
export async function printBackups(to: string): Promise<void> {
  const found = findBackups(to)
  const damage = new Map<string, string[]>()
  const rows: string[][] = []
  for (const one of found) {
    if (one.manifest) damage.set(one.folder, await findDamage(one.folder, one.manifest))
    rows.push(describeBackup(one, damage.get(one.folder) ?? []))
  }
  if (!rows.length) return printResult(`There is no backup in ${to}.`)
  const read = async (folder: string) => damage.get(folder) ?? []
  const projects = new Set(found.flatMap(({ manifest }) => manifest?.project ?? []))
  const sentences: string[] = []
  for (const project of projects) {
    const judged = await judgeBackups(to, project, { read })
    const summary = summarizeBackups(project, judged, readRecord(to, project))
    const { newest, ...facts } = summary
    emit('summary', { ...facts, newest: newest?.name })
    sentences.push(describeSummary(summary, to))
  }
  const head = ['backup', 'age', 'size', 'state', 'applications', 'proof']
  printResult([table([head, ...rows]), ...sentences].join('\n'))
}

function describeBackup({ folder, manifest }: FoundBackup, damage: string[]): string[] {
  const name = basename(folder)
  if (!manifest) {
    emit('backup', { name, state: 'not whole' })
    return [name, '', '', 'not whole: no manifest, or a damaged one', '', '']
  }
  const bytes = sumStored(manifest)
  const age = Date.now() - Date.parse(manifest.created)
  const provenMs = sumProof(manifest)
  const { applications, recipients } = manifest
  const isFuture = age < -clockToleranceMs
  const good = recipients.length ? 'good, encrypted' : 'good, not encrypted'
  const whole = isFuture ? 'future' : 'good'
  const state = damage.length ? 'damaged' : whole
  emit('backup', { name, state, damage, age, bytes, provenMs, applications, recipients })
  return [
    name,
    formatAge(age),
    formatMegabytes(bytes),
    damage[0] ?? (isFuture ? 'dated in the future' : good),
    applications.join(' '),
    `restored in ${formatDuration(provenMs)}`,
  ]
}
