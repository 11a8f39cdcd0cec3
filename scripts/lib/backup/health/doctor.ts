// What the doctor says of a stack's backups, where BACKUP_FOLDER says where they are.
import { stackOf } from '../../compose/stack.ts'
import { finding, type Finding } from '../../doctor/finding.ts'
import { loadEnvValues } from '../../env/files.ts'
import { formatAge } from '../../text.ts'
import { root } from '../../repository.ts'
import { judgeBackups } from '../retention/judge.ts'
import { readRecord } from './record.ts'
import { summarizeBackups, type BackupSummary } from './summary.ts'

/** ms after which a daily backup is missed, and after which nobody may have the key any more. */
const [lateMs, keyMs] = [30 * 3_600_000, 90 * 86_400_000]

/** Looks at the backups of a mode's stack, without reading them whole. */
export async function examineBackups(mode: string): Promise<Finding[]> {
  const { project, suffix } = stackOf(mode)
  const { BACKUP_FOLDER: to } = loadEnvValues(root, suffix.slice(1), true)
  const file = `infra/docker/.env${suffix}`
  if (!to)
    return mode === 'prod'
      ? [
          finding(
            'backups',
            'info',
            `not looked for, and none is taken without --to: BACKUP_FOLDER is not set in ${file}`,
          ),
        ]
      : []
  try {
    const judged = await judgeBackups(to, project, { read: async () => [] })
    return judgeHealth(summarizeBackups(project, judged, readRecord(to, project)), mode, to)
  } catch (error) {
    return [
      finding(
        'backups',
        'warning',
        `${to} cannot be read: ${(error as Error).message}`,
        `ls -ld ${to}`,
      ),
    ]
  }
}

/** Of a stack's backups in a folder: whether there is a new one, and somebody who can open it. */
export function judgeHealth(
  { project, lastProven, lastTry, encrypted, keyProven }: BackupSummary,
  mode: string,
  to: string,
  now = Date.now(),
): Finding[] {
  const warn = (what: string, next: string) => finding('backups', 'warning', what, next)
  const backup = `make backup MODE=${mode}`
  if (lastProven === undefined) return [warn(`there is no good one of ${project} in ${to}`, backup)]
  const prove = `npx zx scripts/backup.ts prove-key ${mode}`
  const findings: Finding[] = []
  if (now - lastProven > lateMs)
    findings.push(warn(`the newest good one is ${formatAge(now - lastProven)} old`, backup))
  if (lastTry?.why) findings.push(warn(`the last try failed: ${lastTry.why}`, backup))
  if (encrypted && keyProven === undefined)
    findings.push(warn('nobody has shown yet that they can open them', prove))
  if (encrypted && keyProven !== undefined && now - keyProven > keyMs)
    findings.push(
      warn(`nobody has shown for ${formatAge(now - keyProven)} that they can open them`, prove),
    )
  return findings
}
