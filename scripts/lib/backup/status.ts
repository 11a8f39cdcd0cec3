// What backups a folder has, and how good they are.
import { basename } from 'node:path'
import { emit, formatDuration, formatMegabytes, printResult, table } from '../report.ts'
import { findBackups, findDamage, type FoundBackup } from './manifest.ts'

/** Prints the backups in a folder, the newest first, each checked against its checksums. */
export async function printBackups(to: string): Promise<void> {
  const rows: string[][] = []
  for (const found of findBackups(to)) rows.push(await describeBackup(found))
  if (!rows.length) return printResult(`There is no backup in ${to}.`)
  printResult(table([['backup', 'age', 'size', 'state', 'applications', 'proof'], ...rows]))
}

async function describeBackup({ folder, manifest }: FoundBackup): Promise<string[]> {
  const name = basename(folder)
  if (!manifest) {
    emit('backup', { name, state: 'not whole' })
    return [name, '', '', 'not whole: no manifest, or a damaged one', '', '']
  }
  const damage = await findDamage(folder, manifest)
  const bytes = manifest.files.reduce((sum, { stored }) => sum + stored.bytes, 0)
  const age = Date.now() - Date.parse(manifest.created)
  const provenMs = manifest.databases.reduce((sum, one) => sum + one.provenMs, 0)
  const { applications, recipients } = manifest
  const state = damage.length ? 'damaged' : 'good'
  emit('backup', { name, state, damage, age, bytes, provenMs, applications, recipients })
  return [
    name,
    formatAge(age),
    formatMegabytes(bytes),
    damage[0] ?? (recipients.length ? 'good, encrypted' : 'good, not encrypted'),
    applications.join(' '),
    `restored in ${formatDuration(provenMs)}`,
  ]
}

const formatAge = (ms: number): string => {
  const hours = ms / 3_600_000
  if (hours < 1) return `${Math.max(0, Math.round(hours * 60))} min`
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`
}
