// Makes the key that opens backups. Without the file nobody can read them.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { exit, Failure } from '../errors.ts'
import { emit, printResult, say } from '../report.ts'
import { loadAge } from './age/load.ts'

/** Writes a new identity into a file and prints its recipient. Throws Failure (refused) where there is a file. */
export async function createKey(path: string): Promise<void> {
  if (existsSync(path))
    throw new Failure(exit.refused, 'Make a key for backups', `${path} is there already`, {
      next: 'the same command with another file',
    })
  const { generateX25519Identity, identityToRecipient } = await loadAge()
  const identity = await generateX25519Identity()
  const recipient = await identityToRecipient(identity)
  await writeFile(path, `# opens backups for ${recipient}\n${identity}\n`, {
    flag: 'wx',
    mode: 0o600,
  })
  emit('key', { recipient, path })
  say(`  ${path} opens the backups: keep it, and a copy, away from this machine`)
  say(
    '  infra/docker/.env: BACKUP_RECIPIENTS takes what stands below; several are separated by commas',
  )
  printResult(recipient)
}
