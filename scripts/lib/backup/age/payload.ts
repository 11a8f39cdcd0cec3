// An age file with the package's header and recipients, and OpenSSL's ChaCha20-Poly1305 for what is in
// it: the package's own takes 20 times as long, so that backups would wait for it.
import type { Encrypter } from 'age-encryption'
import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'

/** Bytes of the payload that are sealed by themselves. */
const chunkBytes = 64 * 1024
const nonceBytes = 16
const tagBytes = 16

/** What age calls STREAM (https://c2sp.org/age, "Payload"): a counter, and a mark on the last chunk. */
async function* sealChunks(bytes: AsyncIterable<Buffer>, key: Buffer): AsyncGenerator<Buffer> {
  let count = 0
  const seal = (chunk: Buffer, last: boolean): Buffer => {
    const nonce = Buffer.alloc(12)
    nonce.writeUIntBE(count++, 5, 6)
    nonce[11] = Number(last)
    const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: tagBytes })
    return Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()])
  }
  let held: Buffer = Buffer.alloc(0)
  for await (const part of bytes) {
    held = held.length ? Buffer.concat([held, part]) : part
    // a full one may be the last
    while (held.length > chunkBytes) {
      yield seal(held.subarray(0, chunkBytes), false)
      held = held.subarray(chunkBytes)
    }
  }
  yield seal(held, true)
}

/** Encrypts bytes to the recipients of `encrypter`, which must be used for nothing else. */
export async function encryptBytes(
  encrypter: Encrypter,
  bytes: AsyncIterable<Buffer>,
): Promise<Readable> {
  let fileKey: Uint8Array = new Uint8Array()
  // a recipient that writes nothing into the header and is told the key of the file
  encrypter.addRecipient({ wrapFileKey: key => ((fileKey = key.slice()), []) })
  const empty = await encrypter.encrypt(new Uint8Array())
  const header = empty.subarray(0, empty.length - nonceBytes - tagBytes)
  const nonce = randomBytes(nonceBytes)
  const key = Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32))
  async function* file() {
    yield Buffer.concat([header, nonce])
    yield* sealChunks(bytes, key)
  }
  return Readable.from(file(), { objectMode: false })
}
