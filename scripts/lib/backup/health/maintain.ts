// What is done to backups that are there: a look at them, the rules for old ones, the proof of the
// key, copies.
import { usageFailure } from '../../cli.ts'
import { exit, Failure } from '../../errors.ts'
import { askHidden } from '../../prompt.ts'
import { keepSecret } from '../../redact.ts'
import { emit, printResult, step } from '../../report.ts'
import { findIdentities, readIdentities } from '../encryption.ts'
import { withLock } from '../lock.ts'
import { copyBackups, requireRclone, type OffSite } from '../off-site/copy.ts'
import { pruneBackups } from '../retention/prune.ts'
import { readKeepRules } from '../retention/rules.ts'
import { findProofFile, proveKeyByIdentity, proveKeyByWord } from './key-proof.ts'
import { reportHealth } from './metrics.ts'
import type { BackupFolder } from './record.ts'
import { printBackups } from './status.ts'

export const maintenanceVerbs = ['status', 'prune', 'prove-key', 'copy'] as const

interface MaintenanceOptions extends Record<string, unknown> {
  identity?: string | undefined
  offSite: OffSite | undefined
}

/** Does what the verb says to a project's backups; `words` are those that stand behind it. */
export async function runMaintenance(
  verb: (typeof maintenanceVerbs)[number],
  place: BackupFolder,
  words: string[],
  options: MaintenanceOptions,
): Promise<void> {
  const [word, ...rest] = words
  if (rest.length || (word && verb !== 'prove-key'))
    throw usageFailure(`"${words.at(-1)}" is no mode`)
  if (verb === 'status') return printBackups(place.to)
  if (verb === 'prune') return runPrune(place, options)
  if (verb === 'copy') return runCopy(place, options.offSite)
  return runProveKey(place, word, options.identity)
}

/** Removes what the rules of the command do not keep. */
async function runPrune(place: BackupFolder, values: Record<string, unknown>): Promise<void> {
  const rules = readKeepRules(values)
  if (!Object.keys(rules).length)
    throw usageFailure('which ones stay? --keep-daily 7 --keep-weekly 4 --keep-monthly 6, say')
  const dryRun = Boolean(values['dry-run'])
  await withLock(place.project, () => pruneBackups(place.to, place.project, rules, { dryRun }))
}

/** Copies to a bucket what is not there yet. */
async function runCopy(place: BackupFolder, offSite: OffSite | undefined): Promise<void> {
  if (!offSite) throw usageFailure('where to? --copy-to s3://bucket/prefix, or BACKUP_COPY_TO')
  await requireRclone(offSite)
  await withLock(place.project, () => copyBackups(place, offSite))
  printResult(`The backups of ${place.project} are in ${offSite.url}, too.`)
}

/** Proves the key by the word of a backup, an identity in a file, or one that is typed. */
async function runProveKey(
  place: BackupFolder,
  word: string | undefined,
  identity: string | undefined,
): Promise<void> {
  const { to, project } = place
  if (word && identity) throw usageFailure('either the word or --identity')
  const backup = await step(`Prove the key of ${project}`, async () => {
    if (word) return proveKeyByWord(to, project, word)
    const file = await findProofFile(to, project)
    const identities = identity
      ? await readIdentities(identity)
      : await askForIdentity(project, file)
    return proveKeyByIdentity(to, project, identities)
  })
  emit('key-proven', { project, backup })
  await reportHealth(place)
  printResult(`${backup} can be opened.`)
}

async function askForIdentity(project: string, file: string): Promise<string[]> {
  const what = `Prove the key of ${project}`
  const next = `age --decrypt --identity KEY ${file}   (where the key is), then the same command with the word that it prints; or the same command with --identity KEY`
  if (!process.stdin.isTTY)
    throw new Failure(exit.refused, what, 'there is no terminal to type the key at', { next })
  const answer = (await askHidden('The key (AGE-SECRET-KEY-…, nothing is shown): ')) ?? ''
  keepSecret(answer)
  const identities = findIdentities(answer)
  if (!identities.length) throw new Failure(exit.refused, what, 'that is no age identity', { next })
  return identities
}
