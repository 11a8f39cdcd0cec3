// How a backup's files are written and read: encrypted to age recipients (https://age-encryption.org),
// piece by piece, with size and checksum before and after.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Decrypter, Encrypter } from 'age-encryption'
import { exit, Failure } from '../errors.ts'
import { loadAge } from './age/load.ts'
import { decryptFile, encryptBytes } from './age/payload.ts'

/** Size and checksum of bytes. */
export interface Measured {
  bytes: number
  sha256: string
}

/** Lets bytes pass and measures them. */
function measuring(): Transform & { result: () => Measured } {
  const hash = createHash('sha256')
  let bytes = 0
  const through = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk)
      bytes += chunk.length
      done(null, chunk)
    },
  })
  return Object.assign(through, { result: () => ({ bytes, sha256: hash.digest('hex') }) })
}

/** Size and checksum of a file on this machine. */
export async function measureFile(path: string): Promise<Measured> {
  const meter = measuring()
  await pipeline(createReadStream(path), meter, async bytes => {
    for await (const _ of bytes);
  })
  return meter.result()
}

/**
 * Writes bytes to a new file on the disk, encrypted unless there are no recipients. Out: before and
 * after. Throws Failure (5) when the disk does not take them.
 */
export async function storeBytes(
  bytes: NodeJS.ReadableStream,
  path: string,
  recipients: string[],
): Promise<{ plain: Measured; stored: Measured }> {
  const [plain, stored] = [measuring(), measuring()]
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    const read = pipeline(bytes, plain)
    const out = recipients.length
      ? await encryptBytes(await createEncrypter(recipients), plain)
      : plain
    const file = createWriteStream(path, { flags: 'wx', mode: 0o600 })
    await bothEnd(read, pipeline(out, stored, file))
    await syncPath(path)
  } catch (error) {
    throw diskFailure(path, error as NodeJS.ErrnoException)
  }
  return { plain: plain.result(), stored: stored.result() }
}

/**
 * Waits for two halves of a chain. Throws why it broke: the half that is only cut off says `aborted`, and on
 * Node 22 says it first.
 */
async function bothEnd(...halves: Promise<unknown>[]): Promise<void> {
  const ended = await Promise.allSettled(halves)
  const reasons = ended.flatMap(one => (one.status === 'rejected' ? [one.reason as Error] : []))
  const cause = reasons.find(({ name }) => name !== 'AbortError') ?? reasons[0]
  if (cause) throw cause
}

/** What a disk says that does not take more. */
function diskFailure(path: string, error: NodeJS.ErrnoException): Error {
  if (!error.code || !/^(ENOSPC|EDQUOT|EROFS|EIO|EACCES)$/.test(error.code)) return error
  return new Failure(exit.rolledBack, `Write ${path}`, error.message, {
    next: 'make room there, or choose another folder, then the same command again',
  })
}

/** Waits until a file or a folder is on the disk. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path)
  await file.sync().finally(() => file.close())
}

/** Reads a stored file, decrypted if there are identities. */
export async function openStored(path: string, identities: string[]): Promise<Readable> {
  if (!identities.length) return createReadStream(path)
  return decryptFile(await createDecrypter(identities), path)
}

async function createEncrypter(recipients: string[]): Promise<Encrypter> {
  const { Encrypter } = await loadAge()
  const encrypter = new Encrypter()
  for (const one of recipients) {
    try {
      encrypter.addRecipient(one)
    } catch {
      throw new Failure(exit.usage, 'Read the recipients', `${one} is no age recipient`, {
        next: 'they begin with age1: npx zx scripts/backup.ts key --to FILE makes one',
      })
    }
  }
  return encrypter
}

/** Throws Failure (usage) for what is no recipient. */
export const checkRecipients = async (recipients: string[]): Promise<void> =>
  void (await createEncrypter(recipients))

async function createDecrypter(identities: string[]): Promise<Decrypter> {
  const { Decrypter } = await loadAge()
  const decrypter = new Decrypter()
  for (const one of identities) decrypter.addIdentity(one)
  return decrypter
}

/** The age identities in a text, a line each. */
export const findIdentities = (text: string): string[] =>
  text
    .split('\n')
    .filter(line => line.startsWith('AGE-SECRET-KEY-'))
    .map(line => line.trim())

/** The identities in a file as age-keygen writes it. Throws Failure (refused) when there are none, or one is damaged. */
export async function readIdentities(path: string | undefined): Promise<string[]> {
  const what = 'Open the backup'
  const next = 'the same command with --identity FILE: the file that `backup.ts key` has made'
  if (!path) throw new Failure(exit.refused, what, 'it is encrypted', { next })
  if (!existsSync(path)) throw new Failure(exit.refused, what, `${path} is not there`, { next })
  const found = findIdentities(readFileSync(path, 'utf8'))
  if (!found.length)
    throw new Failure(exit.refused, what, `there is no age identity in ${path}`, { next })
  await createDecrypter(found).catch(() => {
    // what the library says has no part of the key, and no meaning to who reads it
    throw new Failure(exit.refused, what, `the key in ${path} is damaged or cut off`, {
      next: 'the same command with a copy of that file',
    })
  })
  return found
}

/**
 * Throws Failure (refused) when none of the identities opens the file, which was encrypted to these
 * recipients, or it is none that was encrypted.
 */
export async function requireOpenable(
  path: string,
  identities: string[],
  recipients: string[],
): Promise<void> {
  try {
    const bytes = await openStored(path, identities)
    await new Promise((done, fail) =>
      bytes.once('readable', done).once('end', done).once('error', fail),
    )
    bytes.destroy()
  } catch (error) {
    const { message } = error as Error
    const whose = /^no identity matched/.test(message)
      ? `: it was encrypted for ${recipients.join(', ')}, and this key opens what is for ${await listRecipients(identities)}`
      : ''
    throw new Failure(exit.refused, `Open ${path}`, `${message}${whose}`, {
      next: 'the same command with --identity and the file whose recipient it was made for',
    })
  }
}

/** Whose the identities are: public, as they are not. */
async function listRecipients(identities: string[]): Promise<string> {
  const { identityToRecipient } = await loadAge()
  return (await Promise.all(identities.map(one => identityToRecipient(one)))).join(', ')
}
