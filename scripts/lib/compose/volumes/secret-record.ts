// What a volume knows of the secrets that its data was written with: salted hashes, never a value.
// Pure.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

export interface SecretRecord {
  /** The repository that the stack was last started from. */
  folder: string
  /** By key: `scrypt$<cost>$<salt>$<hash>`. */
  hashes: Record<string, string>
}

const derive = promisify(scrypt) as (
  secret: string,
  salt: Buffer,
  length: number,
  options: { N: number },
) => Promise<Buffer>

// node's default of 16384 takes 50 ms each, and `make up` computes nine; PostgreSQL's own hash of
// the password, in the same volume, is as cheap
const cost = 1024

/** A salted hash of a secret, another one at each call. */
export async function hashSecret(secret: string): Promise<string> {
  const salt = randomBytes(16)
  return `scrypt$${cost}$${salt.toString('base64')}$${(await derive(secret, salt, 32, { N: cost })).toString('base64')}`
}

/** Whether it is the hash of that secret. */
async function matchesHash(text: string, secret: string): Promise<boolean> {
  const [kind, N, salt = '', known = ''] = text.split('$')
  if (kind !== 'scrypt') return false
  const bytes = Buffer.from(known, 'base64')
  return (
    bytes.length === 32 &&
    timingSafeEqual(bytes, await derive(secret, Buffer.from(salt, 'base64'), 32, { N: Number(N) }))
  )
}

/**
 * The keys whose value is not the recorded one. `others` are all values of the same env file: a key
 * whose old value stands there under another name is being rotated (a fallback key), and what was
 * written can still be read.
 */
export async function mismatchedSecrets(
  { hashes }: SecretRecord,
  secrets: Record<string, string>,
  others: string[] = [],
): Promise<string[]> {
  const known = Object.entries(secrets).flatMap(([key, value]) =>
    hashes[key] ? [{ key, value, text: hashes[key] }] : [],
  )
  const judged = known.map(async ({ key, value, text }) => {
    if (await matchesHash(text, value)) return []
    const rotated = (await Promise.all(others.map(other => matchesHash(text, other)))).includes(
      true,
    )
    return rotated ? [] : [key]
  })
  return (await Promise.all(judged)).flat()
}

/** A record of these secrets. */
export async function createSecretRecord(
  secrets: Record<string, string>,
  folder: string,
): Promise<SecretRecord> {
  return {
    folder,
    hashes: Object.fromEntries(
      await Promise.all(
        Object.entries(secrets).map(async ([key, value]) => [key, await hashSecret(value)]),
      ),
    ),
  }
}

/** undefined for a text that is no record: then the volume tells nothing. */
export function parseSecretRecord(text: string): SecretRecord | undefined {
  try {
    const { folder, hashes } = JSON.parse(text) as SecretRecord
    return typeof folder === 'string' && hashes && typeof hashes === 'object'
      ? { folder, hashes }
      : undefined
  } catch {
    return undefined
  }
}
