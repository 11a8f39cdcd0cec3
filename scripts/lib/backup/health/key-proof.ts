// Shows that somebody can still open the backups. Each encrypted backup carries a small file with a
// random word; who can read it out has the key. The manifest has its checksum, as of any other file.
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { exit, Failure } from '../../errors.ts'
import { openStored, requireOpenable, storeBytes } from '../encryption.ts'
import type { BackupManifest, StoredFile } from '../manifest.ts'
import { judgeBackups } from '../retention/judge.ts'
import { changeRecord, readRecord } from './record.ts'

const proofName = 'proof'
/** The word's letters; those that are mistaken for others are left out. */
const letters = '23456789abcdefghjkmnpqrstuvwxyz'

/** 24 letters in groups of four: nobody guesses it, and a person can read it out. */
export const createProofWord = (): string =>
  [...randomBytes(96)]
    .filter(byte => byte < 8 * letters.length)
    .slice(0, 24)
    .map((byte, index) => (index && index % 4 === 0 ? '-' : '') + letters[byte % letters.length])
    .join('')

/** Stores the word of a backup that is being made; nothing where it is not encrypted. */
export async function storeKeyProof(folder: string, recipients: string[]): Promise<StoredFile[]> {
  if (!recipients.length) return []
  const path = `${proofName}.age`
  const word = Readable.from([Buffer.from(createProofWord())])
  const { plain, stored } = await storeBytes(word, join(folder, path), recipients)
  return [{ ...plain, name: proofName, stored: { ...stored, path } }]
}

interface ProvableBackup {
  folder: string
  manifest: BackupManifest
  proof: StoredFile
}

/**
 * The good backups whose words count: the newest, and those of its recipients that were made since
 * the key was last proven, for a word may be read out while another is made.
 */
async function findProvable(
  to: string,
  project: string,
): Promise<[ProvableBackup, ...ProvableBackup[]]> {
  const refuse = (why: string, next: string) =>
    new Failure(exit.refused, `Prove the key of ${project}`, why, { next })
  const good = (await judgeBackups(to, project)).flatMap(({ state, folder, manifest }) =>
    state === 'good' && manifest ? [{ folder, manifest }] : [],
  )
  const [newest] = good
  const backup = `npx zx scripts/backup.ts <mode> --to ${to}`
  if (!newest) throw refuse(`there is no good backup of it in ${to}`, backup)
  const { recipients } = newest.manifest
  if (!recipients.length)
    throw refuse('its backups are not encrypted', `set BACKUP_RECIPIENTS, then ${backup}`)
  const since = Date.parse(readRecord(to, project).keyProven?.at ?? '') || 0
  const [first, ...others] = good.flatMap(one => {
    const proof = one.manifest.files.find(({ name }) => name === proofName)
    const counts =
      one === newest ||
      (Date.parse(one.manifest.created) > since &&
        one.manifest.recipients.join() === recipients.join())
    return proof && counts ? [{ ...one, proof }] : []
  })
  if (!first) throw refuse('no backup carries a word: they are of an older release', backup)
  return [first, ...others]
}

/** Where the word is that a person reads out, for the message that asks for it. */
export async function findProofFile(to: string, project: string): Promise<string> {
  const [{ folder, proof }] = await findProvable(to, project)
  return join(folder, proof.stored.path)
}

/** Records that somebody has read out the word. Out: of which backup. Throws Failure (refused) for another word. */
export async function proveKeyByWord(to: string, project: string, word: string): Promise<string> {
  const sha256 = createHash('sha256').update(word.trim().toLowerCase()).digest('hex')
  const all = await findProvable(to, project)
  const found = all.find(({ proof }) => proof.sha256 === sha256)
  if (!found)
    throw new Failure(exit.refused, `Prove the key of ${project}`, 'that is not the word', {
      next: `age --decrypt --identity KEY ${join(all[0].folder, all[0].proof.stored.path)}   (where the key is; it prints the word)`,
    })
  return recordProof(to, project, found)
}

/** Opens every file of the newest backup and reads its word. Out: the backup. Throws Failure (refused) when the key does not open it. */
export async function proveKeyByIdentity(
  to: string,
  project: string,
  identities: string[],
): Promise<string> {
  const [newest] = await findProvable(to, project)
  for (const { stored } of newest.manifest.files)
    await requireOpenable(join(newest.folder, stored.path), identities, newest.manifest.recipients)
  const bytes = await openStored(join(newest.folder, newest.proof.stored.path), identities)
  const hash = createHash('sha256')
  for await (const chunk of bytes) hash.update(chunk as Buffer)
  if (hash.digest('hex') !== newest.proof.sha256)
    throw new Failure(exit.refused, `Prove the key of ${project}`, 'it opens another word', {
      next: 'take another backup',
    })
  return recordProof(to, project, newest)
}

async function recordProof(
  to: string,
  project: string,
  { manifest: { name, recipients } }: ProvableBackup,
): Promise<string> {
  const keyProven = { at: new Date().toISOString(), backup: name, recipients }
  await changeRecord(to, project, { keyProven })
  return name
}
